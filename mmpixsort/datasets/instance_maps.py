"""Instance maps: read from files, and cut into the instances that mmdet has.

A map (H, W) holds 0 for background, 1, 2, ... for instances and -1 where
nothing counts.
"""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import numpy as np

from mmpixsort.functional.checks import check_count
from mmpixsort.utils.extras import extra_error

from .id_maps import read_id_image

BASES = (1, 256, 65536)  # of R, G, B
BLOCK = 2**16  # pixels that are looked up at once, so that memory stays flat


def read_instance_map(path: Union[str, Path]) -> np.ndarray:
    """Read the ids of an image of labels.

    One channel of 8, 16 or 32 bits holds ids. Three channels of 8 bits hold
    R + 256 G + 65536 B, as COCO's panoptic files do. The palette of a PNG or
    TIFF is for the eye: its indices are the ids.

    Args:
        path: A file of one page that keeps every value (PNG, TIFF); ids need
            not be consecutive.

    Returns:
        (H, W) int32.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is no such image, has alpha or several pages, or
            is lossy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'instance map {str(path)!r} not found')
    image = read_id_image(path)
    values = image.values
    if image.alpha is None and values.dtype.kind in 'iu':
        if values.ndim == 2:
            return values.astype(np.int32)
        if values.dtype == np.uint8:
            return values.astype(np.int32) @ np.array(BASES, np.int32)
    raise ValueError(
        f'{str(path)!r} must hold one channel of 8, 16 or 32 bits, or R + 256 '
        f'G + 65536 B in three of 8, got {image}; ids are whole numbers: '
        'write them as a PNG without alpha')


def instances_of_map(ids: np.ndarray,
                     *,
                     label: int = 0,
                     ignore_id: Optional[int] = None) -> List[Dict]:
    """Cut a map into the `instances` of a data set of MMDetection.

    Args:
        ids: (H, W) integers, 0 background, -1 ignored.
        label: Class of every instance.
        ignore_id: Another id to be ignored, 255 say; None: there is none.

    Returns:
        One dict per id in ascending order: `id`; `bbox` [x1, y1, x2, y2] in
        pixels, the right and lower border outside; `bbox_label`;
        `ignore_flag` 0 or 1; `mask` in the compressed run lengths of COCO.

    Raises:
        ValueError: On a map of another shape or type, or with ids below -1.
        ImportError: When pycocotools is missing.
    """
    check_count('label', label, 0)
    _check_map(ids)
    masks = _import_masks()
    instances = []
    for ident, counts in _run_lengths(ids).items():
        plain = dict(size=list(ids.shape), counts=counts)
        mask = masks.frPyObjects(plain, *ids.shape)
        x, y, width, height = masks.toBbox(mask).tolist()
        # mmdet takes the run lengths for broken unless they are a str
        mask['counts'] = mask['counts'].decode()
        instances.append(
            dict(
                id=ident,
                bbox=[x, y, x + width, y + height],
                bbox_label=label,
                ignore_flag=int(ident in (-1, ignore_id)),
                mask=mask))
    return instances


def places_of_ids(ids: np.ndarray, listed: Sequence[int]) -> np.ndarray:
    """Return where each pixel's id stands in a list.

    Args:
        ids: (H, W) integers.
        listed: n ids, each once.

    Returns:
        (H, W) int32 in [0, n), n for an id that is not in the list.

    Example:
        >>> places_of_ids(np.array([[7, 300, 0]]), [300, 7]).tolist()
        [[1, 0, 2]]
    """
    places = np.full(ids.shape, len(listed), np.int32)
    if not len(listed):
        return places
    numbers = np.array(listed, np.int64)
    order = np.argsort(numbers).astype(np.int32)
    numbers = numbers[order]
    flat, found = ids.reshape(-1), places.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        block = flat[start:start + BLOCK]
        nearest = np.searchsorted(numbers[:-1], block)
        found[start:start + BLOCK] = np.where(
            numbers[nearest] == block, order[nearest], len(listed))
    return places


def _check_map(ids: np.ndarray) -> None:
    if not isinstance(ids, np.ndarray) or ids.ndim != 2 or (
            ids.dtype.kind not in 'iu'):
        got = (f'{ids.dtype} of shape {ids.shape}' if isinstance(
            ids, np.ndarray) else type(ids).__name__)
        raise ValueError(f'`ids` must be an integer array (H, W), got {got}')
    if ids.size and ids.min() < -1:
        raise ValueError('`ids` must be -1, 0 or above, got '
                         f'{ids.min()}; paint what is ignored as -1')


def _run_lengths(ids: np.ndarray) -> Dict[int, List[int]]:
    """Return COCO's run lengths of every id but 0, column by column.

    All ids in one pass over the map: a mask each would take H x W x n.
    """
    flat = ids.T.ravel()
    borders = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate([[0], borders])[:flat.size]
    ends = np.concatenate([borders, [flat.size]])[:len(starts)]
    owners = flat[starts]
    order = np.argsort(owners, kind='stable')
    names, first = np.unique(owners[order], return_index=True)
    runs = np.split(np.stack([starts, ends], 1)[order], first[1:])
    counts = {}
    for name, run in zip(names.tolist(), runs):
        if name:
            edges = [0, *run.ravel().tolist(), flat.size]
            lengths = np.diff(edges).tolist()
            counts[name] = lengths if lengths[-1] else lengths[:-1]
    return counts


def _import_masks():
    """Return pycocotools.mask, which comes with mmdet."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise extra_error('masks need pycocotools', 'det', error) from error
    return mask
