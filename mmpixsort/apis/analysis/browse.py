"""Show images as a training gets them, with all of their annotation."""
from itertools import islice
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Union

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.utils.data_folders import check_data_folders
from mmpixsort.utils.files import write_image
from mmpixsort.utils.progress import tracked
from mmpixsort.visualization.panels import as_picture, side_by_side

from .anchors import Anchors, AnchorSource
from .views import VIEWS, annotation_views, noun_lines, write_below

WIDTH = 400  # pixels; smaller images are enlarged up to it
SPLITS = ('train', 'val', 'test')


def browse_dataset(cfg: Config,
                   out: Union[str, Path],
                   *,
                   split: str = 'train',
                   num_images: int = 16,
                   start: int = 0,
                   views: Optional[Sequence[str]] = None,
                   checkpoint: Optional[str] = None,
                   iteration: int = 0) -> List[Path]:
    """Write a picture of each image of a data set, after its pipeline.

    A picture shows views side by side: the image, its labels, instances,
    regions (over-segmentations and groups), and the anchors that the sampler
    of the metric head would draw. Captions and nouns are below. A view whose
    annotation a sample does not have is left out.

    Anchors are drawn in batches of the size of the training, as the quotas
    of a sampler are those of a batch.

    Args:
        cfg: Config of a run in MMSegmentation or MMDetection.
        out: Folder of the pictures; it is created if needed.
        split: 'train', 'val' or 'test'.
        num_images: Maximum number of images.
        start: Index of the first image.
        views: Names of `VIEWS` to show. None shows all that there are, with
            anchors if the metric head has a sampler.
        checkpoint: Checkpoint of the model, with which hard anchors are
            found; None means that no pixel is hard.
        iteration: Iteration whose anchors are drawn.

    Returns:
        Paths of the pictures.

    Raises:
        ValueError: If an option is out of range, the config has no such
            split, or anchors are asked for that nothing draws.
        FileNotFoundError: If a data folder does not exist.
    """
    check_choice('split', split, SPLITS)
    check_count('num_images', num_images)
    check_count('start', start, minimum=0)
    for view in views or ():
        check_choice('views', view, VIEWS)
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'`split` {split!r} needs `{split}_dataloader` in '
                         'the config, which has none')
    check_data_folders(cfg, split)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    dataset = DATASETS.build(loader.dataset)
    if start >= len(dataset):
        raise ValueError(f'`start` must lie in [0, {len(dataset)}), the '
                         f'images of the split, got {start}')
    source = _anchor_source(cfg, views, checkpoint)
    preprocess = MODELS.build(
        cfg.model.data_preprocessor) if source else None
    palette = _palette(dataset)
    written = []
    total = min(num_images, len(dataset) - start)
    indices = tracked(range(start, start + total), 'drawing')
    size = loader.get('batch_size') or 1
    for batch in _batches(indices, size if source else 1):
        items = [dataset[index] for index in batch]
        drawn: List[Optional[Anchors]] = [None] * len(items)
        if source:
            drawn = _draw(source, preprocess, items, iteration)
        for index, item, anchors in zip(batch, items, drawn):
            sample = item['data_samples']
            name = Path(sample.metainfo.get('img_path') or 'image').stem
            path = Path(out) / f'{index:05d}_{name}.png'
            write_image(path, _picture(item, palette, anchors,
                                       views)[..., ::-1])
            written.append(path)
    return written


def _anchor_source(cfg: Config, views: Optional[Sequence[str]],
                   checkpoint: Optional[str]) -> Optional[AnchorSource]:
    """Return the source of anchors, None where they are not shown."""
    if views is not None and 'anchors' not in views:
        return None
    try:
        return AnchorSource(cfg, checkpoint)
    except ValueError:
        if views is not None or checkpoint is not None:
            raise
        return None


def _batches(indices: Iterator[int], size: int) -> Iterator[List[int]]:
    while batch := list(islice(indices, size)):
        yield batch


def _draw(source: AnchorSource, preprocess: Any, items: List[dict],
          iteration: int) -> List[Anchors]:
    """Return the anchors of a batch, whose places are those of the images.

    The preprocessor pads the images of a batch at the right and at the
    bottom; the places are fractions of the images without padding.
    """
    data = preprocess(pseudo_collate(items), True)
    inputs = data['inputs']
    found = source.draw(inputs, data['data_samples'], iteration)
    height, width = inputs.shape[2:]
    scaled = []
    for item, anchors in zip(items, found):
        sides = item['inputs'].shape[:0:-1]  # width and height
        factor = anchors.places.new_tensor(
            [width / sides[0], height / sides[1]])
        scaled.append(anchors._replace(places=anchors.places * factor))
    return scaled


def _picture(item: dict, palette: Sequence, anchors: Optional[Anchors],
             views: Optional[Sequence[str]]) -> np.ndarray:
    image = _enlarged(as_picture(item['inputs'].numpy()))
    sample = item['data_samples']
    shown = {
        title: picture for title, picture in annotation_views(
            image, sample, palette, anchors).items()
        if views is None or title.partition(':')[0] in views
    }
    if not shown:
        shown = dict(image=image)
    row = side_by_side(list(shown.values()), list(shown))
    with_nouns = views is None or 'nouns' in views
    return write_below(row, noun_lines(sample) if with_nouns else [])


def _enlarged(image: np.ndarray) -> np.ndarray:
    """Enlarge a small image by a whole number, so that dots can be seen."""
    factor = max(1, WIDTH // image.shape[1])
    return cv2.resize(image, None, fx=factor, fy=factor)


def _palette(dataset: Any) -> Sequence:
    """Return the colours of the classes; () if the data set has none."""
    meta = getattr(dataset, 'metainfo', None) or {}
    palette = meta.get('palette') or ()
    return palette if not isinstance(palette, str) else ()
