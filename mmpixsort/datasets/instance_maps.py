"""Read instance maps and convert them into the instances of MMDetection.

An instance map (H, W) holds the instance id of each pixel: 0 for background,
1, 2, ... for instances and -1 for ignored pixels.
"""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import mmengine.fileio as fileio
import numpy as np

from mmpixsort.functional.checks import check_count
from mmpixsort.utils.extras import extra_error

from .id_maps import read_id_image

BASES = (1, 256, 65536)  # factors of R, G and B in an id
BLOCK = 2**16  # number of pixels looked up at once, which limits the memory


def read_instance_map(path: Union[str, Path],
                      *,
                      backend_args: Optional[dict] = None) -> np.ndarray:
    """Read the instance ids of an image file.

    An image of one channel of 8, 16 or 32 bits holds the ids themselves.
    Three channels of 8 bits hold R + 256 G + 65536 B, as in COCO's panoptic
    files. In an image with a palette, the indices are the ids.

    Args:
        path: Path of an image file of one page without loss (PNG, TIFF). The
            ids need not be consecutive.
        backend_args: Arguments of mmengine's fileio; None chooses a backend
            by the path.

    Returns:
        Ids (H, W), int32.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not such an image: it has an alpha channel
            or several pages, or is compressed with loss.
    """
    if not fileio.isfile(path, backend_args):
        raise FileNotFoundError(f'instance map {str(path)!r} not found')
    image = read_id_image(path, fileio.get(path, backend_args))
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
    """Convert an instance map into the list `instances` of MMDetection.

    Args:
        ids: Instance map (H, W) of integers.
        label: Class index of all instances.
        ignore_id: Id of ignored pixels besides -1, such as 255; None if
            there is none.

    Returns:
        One dict for each id except 0, in ascending order, with `id`; `bbox`,
        [x1, y1, x2, y2] in pixels, end exclusive; `bbox_label`;
        `ignore_flag`, 1 for ignored ids and else 0; and `mask`, in the
        compressed run lengths of COCO.

    Raises:
        ValueError: If the map has another shape or type, or an id below -1.
        ImportError: If pycocotools is not installed.
    """
    check_count('label', label, 0)
    _check_map(ids)
    masks = _import_masks()
    instances = []
    for ident, counts in _run_lengths(ids).items():
        plain = dict(size=list(ids.shape), counts=counts)
        mask = masks.frPyObjects(plain, *ids.shape)
        x, y, width, height = masks.toBbox(mask).tolist()
        # mmdet ignores an instance if its run lengths are bytes
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
    """Return the position of the id of each pixel in a list of ids.

    Args:
        ids: Ids (H, W), integers.
        listed: List of n different ids.

    Returns:
        Positions (H, W), int32 in [0, n); n if the id is not in the list.

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
                         f'{ids.min()}; mark ignored pixels with -1')


def _run_lengths(ids: np.ndarray) -> Dict[int, List[int]]:
    """Return the run lengths of COCO for every id except 0.

    The lengths go column by column. One pass over the map serves all n ids,
    because n masks would take n H W bytes of memory.
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
    """Import `pycocotools.mask`, which is installed with mmdet."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise extra_error('masks need pycocotools', 'det', error) from error
    return mask
