"""Panoptic maps: numbers of segments, in colours of files and in memory.

Kirillov et al., "Panoptic segmentation", CVPR 2019. Files hold the number of
a pixel's segment as a colour, R + 256 G + 65536 B; what the numbers mean
stands in a list of segments beside them.
"""
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

import mmengine.fileio as fileio
import numpy as np

from mmpixsort.functional.checks import check_count

from .id_maps import read_id_image
from .instance_maps import BASES

MAX_ID = 2**24 - 1
VOID = 255  # of semantic maps
VOID_ID = 0
# of an image: with their class and image they are one number of 64 bits
MAX_SEGMENTS = 2**16 - 1
# numbers of a class lie this far apart
CLASS_STEP = 256


def rgb_to_id(rgb: np.ndarray) -> np.ndarray:
    """Turn colours into numbers: R + 256 G + 65536 B.

    Args:
        rgb: (..., 3) integers in [0, 255].

    Returns:
        (...) int32.

    Raises:
        TypeError: When they are no integers.
        ValueError: On another shape or range.

    Example:
        >>> int(rgb_to_id(np.array([1, 1, 1], np.uint8)))
        65793
    """
    rgb = _integers('rgb', rgb, 255)
    if rgb.ndim < 1 or rgb.shape[-1] != 3:
        raise ValueError('`rgb` must have shape (..., 3), got '
                         f'{rgb.shape}')
    # uint8 would overflow
    return rgb.astype(np.int32) @ np.array(BASES, np.int32)


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Turn numbers into colours, the inverse of `rgb_to_id`.

    Args:
        ids: (...) integers in [0, 2^24 - 1].

    Returns:
        (..., 3) uint8.

    Raises:
        TypeError: When they are no integers.
        ValueError: On another range, which three bytes cannot hold.

    Example:
        >>> id_to_rgb(np.array([65793])).tolist()
        [[1, 1, 1]]
    """
    ids = _integers('ids', ids, MAX_ID)
    return (ids[..., None].astype(np.int64) // BASES % 256).astype(np.uint8)


def _integers(name: str, values: np.ndarray, most: int) -> np.ndarray:
    """Return an array, after a check of its type and range."""
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
    """Read the numbers of a panoptic PNG.

    Args:
        path: Path of a file of one page with three channels of 8 bits, PNG or
            TIFF.
        backend_args: Arguments of mmengine's fileio; None: chosen by the path.

    Returns:
        (H, W) int32.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is no such image, has a palette, alpha or
            several pages, or is lossy.
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
    """Join a map of classes and one of instances.

    Each (class, instance) of things is a segment, and each class of stuff
    is one. Pixels of things without an instance are a crowd of their class.

    Args:
        semantic: (H, W) integers: 0 .. T - 1 things, above them stuff, 255
            void.
        instances: (H, W) integers from 0, which is none.
        num_things: T.

    Returns:
        Numbers of segments (H, W) int32, 0 void; and `segments_info`: dicts
        of `id`, `category`, `is_thing`, `iscrowd`, by ascending id.

    Raises:
        TypeError: When the maps are no integers.
        ValueError: When they differ in shape, or on other values.
            Instances reach 8388606; more do not fit in a number.

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
