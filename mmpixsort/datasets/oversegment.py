"""Over-segmentations: made from images or contours, written, read.

A map (H, W) holds the id of the region of each pixel, from 0.

Hwang et al. (SegSort, https://arxiv.org/abs/1910.06962) train without
annotation on the regions of HED contours. What is here needs no MATLAB.
"""
from pathlib import Path
from typing import Union

import numpy as np

from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.files import write_image

from .id_maps import read_id_image

# 65535 is left for padding, and a place for the id that padding has in hosts
MAX_REGIONS = 65534


def felzenszwalb_segments(image: np.ndarray,
                          *,
                          scale: float = 200.,
                          sigma: float = 0.8,
                          min_size: int = 50) -> np.ndarray:
    """Cut an image by the graph method of Felzenszwalb and Huttenlocher.

    Efficient Graph-Based Image Segmentation, IJCV 2004.

    Args:
        image: (H, W, 3) uint8.
        scale: Larger gives larger regions.
        sigma: Deviation, in pixels, of the blur before the cutting.
        min_size: Pixels of a region.

    Returns:
        (H, W) int64 from 0.
    """
    found = _skimage().felzenszwalb(
        image, scale=scale, sigma=sigma, min_size=min_size)
    return found.astype(np.int64)


def slic_segments(image: np.ndarray,
                  *,
                  num_segments: int = 100,
                  compactness: float = 10.) -> np.ndarray:
    """Cut an image into superpixels (Achanta et al., TPAMI 2012).

    Args:
        image: (H, W, 3) uint8.
        num_segments: About how many.
        compactness: Larger gives rounder regions.

    Returns:
        (H, W) int64 from 0.
    """
    found = _skimage().slic(
        image, n_segments=num_segments, compactness=compactness,
        start_label=0)
    return found.astype(np.int64)


def contour_segments(contours: np.ndarray,
                     threshold: float,
                     double: bool = True) -> np.ndarray:
    """Cut a map of contour strengths at a level.

    Args:
        contours: (2H + 1, 2W + 1) ultrametric contours of double size, in
            which every pixel has its contours beside it, or (H, W).
        threshold: Contours above it part regions.
        double: Whether the map has the double size.

    Returns:
        (H, W) int64 from 0; a contour pixel of a plain map gets the region
        nearest to it.
    """
    try:
        from scipy import ndimage
    except ImportError as error:
        raise extra_error(
            'contours need SciPy', 'oversegment', error) from error
    regions, _ = ndimage.label(contours <= threshold)
    if double:
        if not all(side % 2 for side in contours.shape):
            raise ValueError('`contours` must have shape (2H + 1, 2W + 1), '
                             f'got {contours.shape}; or set double=False')
        regions = regions[1::2, 1::2]
    if (regions == 0).any() and (regions > 0).any():
        nearest = ndimage.distance_transform_edt(
            regions == 0, return_distances=False, return_indices=True)
        regions = regions[tuple(nearest)]
    _, ids = np.unique(regions, return_inverse=True)
    return ids.reshape(regions.shape).astype(np.int64)


def write_segments(path: Union[str, Path], ids: np.ndarray) -> None:
    """Write a map as a PNG of 16 bits, whole or not at all.

    Raises:
        ValueError: On ids below 0 or above 65,533.
    """
    if ids.ndim != 2 or ids.min() < 0 or ids.max() >= MAX_REGIONS:
        raise ValueError(
            f'`ids` must be (H, W) in [0, {MAX_REGIONS}), got shape '
            f'{ids.shape} from {ids.min()} to {ids.max()}; use larger '
            'regions')
    write_image(path, ids.astype(np.uint16))


def read_segments(path: Union[str, Path]) -> np.ndarray:
    """Read a map: of 16 or 32 bits, or of 8 as the authors of SegSort have.

    Region 255 of theirs is a region.

    Returns:
        (H, W) int64.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is no map of one channel.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'over-segmentation {str(path)!r} not found; make it with '
            'tools/dataset_converters/oversegment.py')
    image = read_id_image(path)
    ids = image.values
    if (image.alpha is not None or ids.ndim != 2 or ids.dtype.kind not in 'iu'
            or ids.min() < 0):
        raise ValueError(f'{str(path)!r} must be an image of one channel of '
                         f'8, 16 or 32 bits with ids from 0, got {image}')
    return ids.astype(np.int64)


def _skimage():
    try:
        from skimage import segmentation
    except ImportError as error:
        raise extra_error(
            'this needs scikit-image', 'oversegment', error) from error
    return segmentation
