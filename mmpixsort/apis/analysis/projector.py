"""Project the embeddings of a bank to a plane, as a picture and for a browser.

Shapes: M rows, D embedding dimensions.
"""
import io
from pathlib import Path
from typing import List, NamedTuple, Optional, Union

import numpy as np
import torch

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.files import write_whole
from mmpixsort.visualization.panels import paint_labels

from .bank_rows import BankRows, even_rows, read_rows

METHODS = ('tsne', 'umap', 'pca')
PER_LEGEND = 30  # classes in a column of the legend


class Projection(NamedTuple):
    """Files of a projection.

    Attributes:
        picture: Path of the PNG.
        board: Folder of the log of TensorBoard, None if there is none.
        rows: The rows that are shown.
        places: (M, 2) float32, x and y of the rows.
    """

    picture: Path
    board: Optional[Path]
    rows: BankRows
    places: np.ndarray


def project_bank(bank: Union[str, Path], out: Union[str, Path],
                 *,
                 method: str = 'tsne',
                 max_rows: int = 2000,
                 perplexity: float = 30.,
                 num_neighbors: int = 15,
                 seed: int = 0,
                 board: Optional[Union[str, Path]] = None) -> Projection:
    """Draw the rows of a bank in a plane, in the colours of their classes.

    Embeddings are compared by cosine: rows are normalised first. t-SNE and
    UMAP keep neighbours together; distances between groups, their sizes and
    empty space have no meaning in their pictures. PCA is linear and keeps the
    directions of largest variance.

    Args:
        bank: File of a bank of prototypes, instances or texts.
        out: Picture to write, .png.
        method: 'tsne' (scikit-learn), 'umap' (umap-learn) or 'pca'.
        max_rows: Maximum number of rows, drawn evenly over the classes.
        perplexity: For t-SNE, about the number of neighbours that count; it
            is lowered for a bank with few rows.
        num_neighbors: For UMAP, the number of neighbours that count.
        seed: Seed of the draw of rows and of the method.
        board: Folder to which the embeddings, not projected, are also written
            for the projector of TensorBoard. None writes no log.

    Raises:
        ValueError: If an option is out of range, or the file is no bank.
        FileNotFoundError: If the bank does not exist.
        ImportError: If the package of the method or of `board` is missing.
    """
    check_choice('method', method, METHODS)
    check_count('max_rows', max_rows, minimum=4)
    check_count('num_neighbors', num_neighbors, minimum=2)
    if not perplexity > 0:
        raise ValueError(f'`perplexity` must be positive, got {perplexity}')
    out = Path(out)
    if out.suffix != '.png':
        raise ValueError(f'`out` must end in .png, got {out.name!r}')
    rows = read_rows(bank)
    rows = rows.pick(even_rows(rows.labels, max_rows, seed))
    if len(rows.labels) < 4:
        raise ValueError('a bank must have at least 4 rows to be projected, '
                         f'got {len(rows.labels)}')
    unit = torch.nn.functional.normalize(rows.embeddings, dim=1).numpy()
    if method == 'tsne':
        places = _tsne(unit, perplexity, seed)
    elif method == 'umap':
        places = _umap(unit, num_neighbors, seed)
    else:
        places = _pca(unit)
    title = f'{Path(bank).name}: {len(places)} rows by {method}'
    write_whole(out, draw_places(places, rows, title))
    folder = None if board is None else write_board(rows, board)
    return Projection(out, folder, rows, places)


def _tsne(unit: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise extra_error('t-SNE needs scikit-learn', 'vis', error,
                          "method='pca' needs no package") from error
    perplexity = min(perplexity, (len(unit) - 1) / 3)
    # an exact PCA as start makes the picture repeatable
    return TSNE(perplexity=perplexity, init='pca', random_state=seed,
                metric='cosine').fit_transform(unit)


def _umap(unit: np.ndarray, num_neighbors: int, seed: int) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError as error:
        raise extra_error('UMAP needs umap-learn', 'umap', error,
                          "method='tsne' needs scikit-learn alone"
                          ) from error
    # one process, as a seed needs; without a spectral start for few rows
    return UMAP(n_neighbors=min(num_neighbors, len(unit) - 1),
                metric='cosine', random_state=seed, n_jobs=1,
                init='spectral' if len(unit) > 8 else 'random'
                ).fit_transform(unit)


def _pca(unit: np.ndarray) -> np.ndarray:
    centred = unit - unit.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes[:2].T


def draw_places(places: np.ndarray, rows: BankRows, title: str) -> bytes:
    """Return a PNG of points in the colours of their classes.

    Args:
        places: (M, 2) x and y.
        rows: Rows of the bank, for classes and colours.
        title: Title of the picture.
    """
    from matplotlib.figure import Figure
    labels = rows.labels.numpy()
    present = np.unique(labels)
    columns = -(-len(present) // PER_LEGEND)
    figure = Figure(figsize=(7 + 1.8 * columns, 7), dpi=120)
    axes = figure.subplots()
    colours = paint_labels(present[None], rows.palette)[0] / 255
    size = float(np.clip(24000 / len(labels), 8, 60))
    for label, colour in zip(present, colours):
        inside = labels == label
        axes.scatter(*places[inside].T, s=size, color=colour, linewidths=.2,
                     edgecolors='black',
                     label=f'{rows.classes[label]} ({inside.sum()})')
    axes.set(title=title, xticks=[], yticks=[])
    axes.legend(loc='center left', bbox_to_anchor=(1, .5), fontsize=8,
                frameon=False, ncols=columns, markerscale=1.5)
    data = io.BytesIO()
    figure.savefig(data, format='png', bbox_inches='tight')
    return data.getvalue()


def write_board(rows: BankRows, folder: Union[str, Path]) -> Path:
    """Write embeddings for the projector of TensorBoard; return the folder.

    Args:
        rows: Rows, with their classes and sources as metadata.
        folder: Folder of the log; it is created if needed.

    Raises:
        ImportError: If TensorBoard is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise extra_error('a log for TensorBoard needs tensorboard', 'vis',
                          error, 'the picture needs none') from error
    metadata: List[List[str]] = [
        [rows.classes[label], note]
        for label, note in zip(rows.labels.tolist(), rows.notes)]
    with SummaryWriter(str(folder)) as writer:
        writer.add_embedding(rows.embeddings, metadata=metadata,
                             metadata_header=['class', 'source'], tag='bank')
    return Path(folder)
