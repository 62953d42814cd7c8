"""Read and join panoptic maps, in which each pixel holds a segment number.

Files store the segment number of a pixel as a colour, R + 256 G + 65536 B. A
list of segments beside the map tells the class of each number. The task is
described by Kirillov et al., "Panoptic segmentation", CVPR 2019.
"""
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

import mmengine.fileio as fileio
import numpy as np

from mmpixsort.functional.checks import check_count

from .id_maps import read_id_image
from .instance_maps import BASES

MAX_ID = 2**24 - 1
VOID = 255  # class of void pixels in semantic maps
INSTANCE_OFFSET = 1000  # MMDetection's maps hold class + 1000 * instance
VOID_ID = 0  # segment number of void pixels
# maximum number of segments of an image, so that one integer of 64 bits can
# hold the image, the class and the segment together
MAX_SEGMENTS = 2**16 - 1
# difference between the segment numbers of successive instances of a class
CLASS_STEP = 256


def rgb_to_id(rgb: np.ndarray) -> np.ndarray:
    """Convert colours into segment numbers R + 256 G + 65536 B.

    Args:
        rgb: Colours (..., 3), integers in [0, 255].

    Returns:
        Segment numbers (...), int32.

    Raises:
        TypeError: If the colours are not integers.
        ValueError: If the shape is wrong or a value is out of range.

    Example:
        >>> int(rgb_to_id(np.array([1, 1, 1], np.uint8)))
        65793
    """
    rgb = _integers('rgb', rgb, 255)
    if rgb.ndim < 1 or rgb.shape[-1] != 3:
        raise ValueError('`rgb` must have shape (..., 3), got '
                         f'{rgb.shape}')
    # the product would overflow in uint8
    return rgb.astype(np.int32) @ np.array(BASES, np.int32)


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Convert segment numbers into colours, the inverse of `rgb_to_id`.

    Args:
        ids: Segment numbers (...), integers in [0, 2^24 - 1].

    Returns:
        Colours (..., 3), uint8.

    Raises:
        TypeError: If the numbers are not integers.
        ValueError: If a number does not fit into three bytes.

    Example:
        >>> id_to_rgb(np.array([65793])).tolist()
        [[1, 1, 1]]
    """
    ids = _integers('ids', ids, MAX_ID)
    return (ids[..., None].astype(np.int64) // BASES % 256).astype(np.uint8)


def _integers(name: str, values: np.ndarray, most: int) -> np.ndarray:
    """Return an array after checking that it holds integers in [0, most]."""
    values = np.asarray(values)
    if values.dtype.kind not in 'iu':
        raise TypeError(f'`{name}` must be integers, got {values.dtype}; '
                        'convert with `.astype(np.int64)`')
    if values.size and not 0 <= values.min() <= values.max() <= most:
        raise ValueError(f'`{name}` must be in [0, {most}], got '
                         f'{values.min()} .. {values.max()}')
    return values


def read_panoptic_map(path: Union[str, Path],
                      *,
                      backend_args: Optional[dict] = None) -> np.ndarray:
    """Read the segment numbers of a panoptic PNG.

    Args:
        path: Path of a PNG or TIFF file of one page with three channels of 8
            bits.
        backend_args: Arguments of mmengine's fileio; None chooses a backend
            by the path.

    Returns:
        Segment numbers (H, W), int32.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not such an image: it has a palette, an
            alpha channel or several pages, or is compressed with loss.
    """
    path = str(path)
    if not fileio.isfile(path, backend_args):
        raise FileNotFoundError(f'panoptic map {path!r} not found')
    image = read_id_image(path, fileio.get(path, backend_args))
    values = image.values
    if (image.alpha is not None or values.dtype != np.uint8
            or values.shape[2:] != (3, )):
        raise ValueError(
            f'panoptic map {path!r} must have three channels of 8 bits, '
            f'R + 256 G + 65536 B, got {image}; write the colours of '
            '`id_to_rgb` as a PNG without palette or alpha')
    return rgb_to_id(values)


def join_maps(semantic: np.ndarray,
              instances: np.ndarray,
              *,
              num_things: int) -> Tuple[np.ndarray, List[Dict]]:
    """Join a map of classes and a map of instances into a panoptic map.

    Each pair of a thing class and an instance is a segment, and each stuff
    class is one segment. Pixels of a thing class without an instance form a
    crowd of that class.

    Args:
        semantic: Classes (H, W), integers: 0 to T - 1 are things, higher
            ones stuff, 255 is void.
        instances: Instance numbers (H, W), integers; 0 is no instance.
        num_things: Number of thing classes T.

    Returns:
        Segment numbers (H, W), int32, 0 for void; and `segments_info`, a
        list of dicts with `id`, `category`, `is_thing` and `iscrowd`, sorted
        by id.

    Raises:
        TypeError: If the maps are not integers.
        ValueError: If the shapes of the maps differ or a value is out of
            range. Instance numbers above 8388606 would not fit into int32.

    Example:
        >>> ids, segments = join_maps(
        ...     np.array([[0, 0, 1]]), np.array([[1, 2, 0]]), num_things=1)
        >>> ids.tolist(), [s['category'] for s in segments]
        ([[257, 513, 2]], [1, 0, 0])
    """
    check_count('num_things', num_things, 0)
    semantic = _integers('semantic', semantic, VOID).astype(np.int64)
    limit = np.iinfo(np.int32).max // CLASS_STEP - 1
    instances = _integers('instances', instances, limit)
    if semantic.shape != instances.shape:
        raise ValueError(
            '`semantic` and `instances` must have one shape, got '
            f'{semantic.shape} and {instances.shape}')
    things = semantic < num_things
    ids = semantic + 1 + CLASS_STEP * np.where(things, instances, 0)
    ids[semantic == VOID] = VOID_ID
    segments = []
    for number in np.unique(ids[ids != VOID_ID]).tolist():
        instance, category = divmod(number - 1, CLASS_STEP)
        is_thing = category < num_things
        segments.append(
            dict(
                id=number,
                category=category,
                is_thing=is_thing,
                iscrowd=is_thing and not instance))
    return ids.astype(np.int32), segments
