"""Show instances, the most similar instances of a bank and their contexts.

Shapes: M instances of the bank, Q queries, k neighbours, C classes.
"""
import os.path as osp
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmpixsort.datasets.map_owners import same_image
from mmpixsort.functional.checks import check_count
from mmpixsort.functional.instances.context import (context_consistency,
                                                    grow_masks)
from mmpixsort.functional.segments.nearest import row_similarity
from mmpixsort.retrieval.images import annotated_images, image_name
from mmpixsort.retrieval.instances import (InstanceRows, StoredInstances,
                                           check_fits_detector, read_instances)
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.files import write_image, write_whole
from mmpixsort.visualization.panels import paint_labels
from mmpixsort.visualization.retrieval_sheet import (Crop, Row, crop_segment,
                                                     page)
from mmpixsort.visualization.retrieval_sheet import sheet as draw_sheet

from .exemplars import image_data
from .explain import Explanation
from .instance_bank import InstanceRules, describe_image, detector_fingerprint
from .loading import load_detector
from .sources import picture_of

TILE = 160  # side of a picture in pixels, large enough for the surroundings
CAPTION = (
    'Left: an instance, its class and area. Right: the instances of other '
    'images nearest to it, with their similarity, how alike the classes '
    'around both are (1: the same shares), and their image. Yellow: the '
    'instance; white: the ring whose classes are counted.')
ADDED = -1  # index of an image that is not in the bank


class Picture(NamedTuple):
    """An image and its instances.

    Attributes:
        pixels: Picture (H, W, 3), uint8, RGB.
        ids: Instance id (H, W) of each pixel, int64; a number below 1 means
            no instance.
        name: Name of the image.
    """

    pixels: np.ndarray
    ids: Tensor
    name: str


def retrieve_instances(cfg: Union[str, Path, Config],
                       checkpoint: Union[str, Path],
                       bank: Union[str, Path],
                       out: Union[str, Path],
                       *,
                       image: Union[None, str, Path] = None,
                       image_id: Optional[int] = None,
                       bank_rows: Optional[Sequence[int]] = None,
                       num_neighbors: int = 6,
                       max_instances: int = 24,
                       any_class: bool = False) -> Explanation:
    """Write an HTML page and a PNG of instances and their nearest ones.

    Exactly one of `image`, `image_id` and `bank_rows` selects the queries.

    Args:
        cfg: Config of the detector.
        checkpoint: Checkpoint with its weights.
        bank: Bank of instances; see :func:`build_instance_bank`.
        out: Folder for NAME.html and NAME.png; it is created if needed.
        image: Path of an image, whose predicted instances are the queries.
        image_id: Index of an image of the bank, whose instances are the
            queries.
        bank_rows: Rows of the bank that are the queries.
        num_neighbors: Number of neighbours k that are shown for each query.
        max_instances: Largest number of instances of an image that are
            shown; the largest instances are chosen.
        any_class: Whether to search instances of other classes too.

    Raises:
        ValueError: If the bank was not made with these weights, no instance
            is found, or an argument is out of range.
        FileNotFoundError: If a file does not exist.
    """
    check_count('num_neighbors', num_neighbors)
    check_count('max_instances', max_instances)
    if sum(part is not None for part in (image, image_id, bank_rows)) != 1:
        raise ValueError('exactly one of `image`, `image_id` and `bank_rows` '
                         f'must be given, got {image!r}, {image_id!r} and '
                         f'{bank_rows!r}')
    cfg = cfg if isinstance(cfg, Config) else read_config(cfg)
    stored = read_instances(bank)
    data = None if image is None else image_data(cfg, image)
    model = load_detector(cfg, checkpoint)
    check_fits_detector(stored, fingerprint=detector_fingerprint(model))
    pictures, overview = Pictures(cfg, model, stored), []
    if bank_rows is not None:
        queries, name = _given(stored, bank_rows), f'row_{bank_rows[0]:06d}'
    else:
        if image is None:
            queries, name = _of_image(stored, image_id), f'image_{image_id}'
        else:
            queries, name = pictures.add(data, str(image)), Path(image).stem
        queries = _largest(queries, max_instances, name, stored)
        overview = _overview(pictures[ADDED if data else image_id])
    rows = _rows(queries, stored, pictures, num_neighbors, any_class)
    return _write(Path(out), name, rows, overview)


def _write(out: Path, name: str, rows: List[Row],
           overview: List[np.ndarray]) -> Explanation:
    """Write the page and the sheet."""
    out.mkdir(parents=True, exist_ok=True)
    files = Explanation(out / f'{name}.html', out / f'{name}.png', rows)
    write_whole(files.page, page(
        rows, title=f'Instances like those of {name}', overview=overview,
        caption=CAPTION))
    write_image(files.sheet, draw_sheet(rows, sources=True)[..., ::-1])
    return files


def nearest_rows(queries: InstanceRows,
                 stored: StoredInstances,
                 *,
                 num_neighbors: int,
                 any_class: bool = False) -> Tuple[Tensor, Tensor]:
    """Return the most similar instances of other images.

    Args:
        queries: Rows of Q instances. Their `image_ids` are indices of images
            in the bank, whose instances are not returned; -1 for an image
            that is not in the bank.
        stored: Bank that is searched.
        num_neighbors: Number of neighbours k, limited to the size of the bank.
        any_class: Whether instances of other classes are returned too.

    Returns:
        Similarities (Q, k), see :func:`row_similarity`, and row indices
        (Q, k), the most similar first. Where there are fewer neighbours, the
        similarity is minus infinity and the index -1.
    """
    check_count('num_neighbors', num_neighbors)
    bank = stored.rows
    allowed = queries.image_ids[:, None] != bank.image_ids
    if not any_class:
        allowed &= queries.classes[:, None] == bank.classes
    scores = row_similarity(
        queries.embeddings, bank.embeddings).masked_fill(
            ~allowed, -torch.inf)
    best, found = scores.topk(min(num_neighbors, len(stored)), 1)
    return best, found.masked_fill(best == -torch.inf, -1)


class Pictures:
    """Load the images of a bank and the outlines of their instances.

    The bank stores the boxes of instances, but not their outlines. Therefore
    the annotation is read again, or, for a bank of predicted instances, they
    are predicted again.
    """

    def __init__(self, cfg: Config, model: nn.Module,
                 stored: StoredInstances) -> None:
        self.model = model
        self.stored = stored
        self.rules = InstanceRules(**stored.meta['rules'])
        self.dataset = annotated_images(cfg, split=stored.meta['split'])
        self.known: Dict[int, Picture] = {}

    def add(self, data: dict, name: str) -> InstanceRows:
        """Add a query image, and return the rows of its predicted instances.

        If the image is in the bank, the rows get its index, so that its
        instances do not retrieve themselves.
        """
        number = next(
            (number for number, other in enumerate(self.stored.meta['images'])
             if same_image(other, name)), ADDED)
        rows, ids = describe_image(
            self.model, data, self.rules._replace(annotated=False), number)
        self.known[ADDED] = Picture(picture_of(data), ids, name)
        return rows

    def __getitem__(self, image_id: int) -> Picture:
        """Return an image of the bank, or for `ADDED` the added image.

        Raises:
            ValueError: If the data set has another image at this index.
        """
        if image_id not in self.known:
            self.known[image_id] = self._read(image_id)
        return self.known[image_id]

    def _read(self, image_id: int) -> Picture:
        name = self.stored.meta['images'][image_id]
        found = image_name(self.dataset, image_id) if image_id < len(
            self.dataset) else None
        if found != name:
            raise ValueError(
                f'image {image_id} of the data set must be {name!r}, as when '
                f'the bank was built, got {found!r}; use the config that the '
                'bank was built with')
        data = self.dataset[image_id]
        _, ids = describe_image(self.model, data, self.rules, image_id)
        return Picture(picture_of(data), ids, name)

    def crop(self, rows: InstanceRows, row: int, picture: Picture,
             note: str) -> Crop:
        """Return a picture of an instance and the ring around it."""
        mask = picture.ids == int(rows.numbers[row])
        radius = self.rules.rho**2 * mask.sum()
        ring = grow_masks(mask[None], radius[None])[0] & ~mask
        return Crop(
            crop_segment(picture.pixels, mask.numpy(), ring=ring.numpy(),
                         tile=TILE),
            self.stored.meta['classes'][int(rows.classes[row])], note,
            osp.basename(picture.name))


def _given(stored: StoredInstances, bank_rows: Sequence[int]) -> InstanceRows:
    """Return the given rows of the bank.

    Raises:
        ValueError: If the bank has no such rows.
    """
    rows = torch.as_tensor(list(bank_rows), dtype=torch.long)
    if not len(rows) or rows.min() < 0 or rows.max() >= len(stored):
        raise ValueError(f'`bank_rows` must lie in [0, {len(stored)}), got '
                         f'{list(bank_rows)}')
    return stored.rows.pick(rows)


def _of_image(stored: StoredInstances, image_id: int) -> InstanceRows:
    """Return the instances of an image of the bank.

    Raises:
        ValueError: If the bank has no such image.
    """
    count = len(stored.meta['images'])
    if not 0 <= image_id < count:
        raise ValueError(f'`image_id` must lie in [0, {count}), the images '
                         f'of the bank, got {image_id}')
    return stored.rows.pick(stored.rows.image_ids == image_id)


def _largest(queries: InstanceRows, count: int, name: str,
             stored: StoredInstances) -> InstanceRows:
    """Return the largest instances.

    Raises:
        ValueError: If there are no instances.
    """
    if not len(queries.classes):
        raise ValueError(
            f'{name} must have an instance of at least '
            f'{stored.meta["rules"]["min_area"]} pixels, which is the '
            '`min_area` of the bank, got none')
    return queries.pick(queries.areas.argsort(descending=True)[:count])


def _rows(queries: InstanceRows, stored: StoredInstances, pictures: Pictures,
          num_neighbors: int, any_class: bool) -> List[Row]:
    """Return rows that show queries and the instances that they find."""
    scores, found = nearest_rows(
        queries, stored, num_neighbors=num_neighbors, any_class=any_class)
    is_added = ADDED in pictures.known
    rows = []
    for i, (similarities, neighbors) in enumerate(zip(scores, found)):
        neighbors = neighbors[neighbors >= 0]
        contexts = context_consistency(
            queries.histograms[i].expand(len(neighbors), -1),
            stored.rows.histograms[neighbors][:, None])
        own = pictures[ADDED if is_added else int(queries.image_ids[i])]
        rows.append(Row(
            pictures.crop(queries, i, own, f'{int(queries.areas[i])} pixels'),
            [pictures.crop(
                stored.rows, row, pictures[int(stored.rows.image_ids[row])],
                _note(similarity, context)) for row, similarity, context in
             zip(neighbors.tolist(), similarities.tolist(),
                 contexts.tolist())]))
    return rows


def _note(similarity: float, context: float) -> str:
    shown = '-' if context != context else f'{context:.2f}'
    return f'{similarity:.3f} context {shown}'


def _overview(picture: Picture) -> List[np.ndarray]:
    """Return an image, and a picture of its instances in many colours."""
    ids = picture.ids.numpy()
    # 255 is drawn in black
    return [picture.pixels,
            paint_labels(np.where(ids > 0, (ids - 1) % 254, 255), [])]
