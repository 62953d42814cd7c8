"""Make over-segmentations from images or contours, and read and write them.

A map (H, W) holds the region id of each pixel, from 0.

Hwang et al. (SegSort, https://arxiv.org/abs/1910.06962) train without
annotation on the regions of HED contours. The functions here need no MATLAB.
"""
from pathlib import Path
from typing import Union

import numpy as np

from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.files import write_image

from .id_maps import read_id_image

# limit of ids: the hosts use 255 for padding, so that transforms add one to
# all ids from 255 on, and the largest value of 16 bits is reserved
MAX_REGIONS = 65534


def felzenszwalb_segments(image: np.ndarray,
                          *,
                          scale: float = 200.,
                          sigma: float = 0.8,
                          min_size: int = 50) -> np.ndarray:
    """Segment an image by the graph method of Felzenszwalb and Huttenlocher.

    Source: "Efficient Graph-Based Image Segmentation", IJCV 2004.

    Args:
        image: Image (H, W, 3), uint8.
        scale: Threshold below which regions are merged, above 0. A larger
            value gives larger regions.
        sigma: Standard deviation, in pixels, of the blur of the image before
            the segmentation.
        min_size: Minimum number of pixels of a region.

    Returns:
        Region ids (H, W), int64 from 0.
    """
    found = _skimage().felzenszwalb(
        image, scale=scale, sigma=sigma, min_size=min_size)
    return found.astype(np.int64)


def slic_segments(image: np.ndarray,
                  *,
                  num_segments: int = 100,
                  compactness: float = 10.) -> np.ndarray:
    """Segment an image into superpixels by SLIC.

    Source: Achanta et al., "SLIC Superpixels Compared to State-of-the-Art
    Superpixel Methods", TPAMI 2012.

    Args:
        image: Image (H, W, 3), uint8.
        num_segments: Approximate number of regions.
        compactness: Weight of the spatial distance relative to the distance
            of colours. A larger value gives more compact regions.

    Returns:
        Region ids (H, W), int64 from 0.
    """
    found = _skimage().slic(
        image, n_segments=num_segments, compactness=compactness,
        start_label=0)
    return found.astype(np.int64)


def contour_segments(contours: np.ndarray,
                     threshold: float,
                     double: bool = True) -> np.ndarray:
    """Segment an image along the contours above a threshold.

    Args:
        contours: Contour strengths (2H + 1, 2W + 1) or (H, W). The former is
            an ultrametric contour map of double size, in which contours lie
            between the pixels.
        threshold: Strength above which a contour separates regions.
        double: Whether `contours` has double size.

    Returns:
        Region ids (H, W), int64 from 0. A pixel on a contour gets the id of
        the nearest region.

    Raises:
        ImportError: If SciPy is not installed.
        ValueError: If a map of double size has a side of even length.
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
    """Write a region map as a PNG of 16 bits, completely or not at all.

    Args:
        path: Path of the PNG file.
        ids: Region ids (H, W), integers in [0, 65533].

    Raises:
        ValueError: If the shape is wrong or an id is out of range.
    """
    if ids.ndim != 2 or ids.min() < 0 or ids.max() >= MAX_REGIONS:
        raise ValueError(
            f'`ids` must be (H, W) in [0, {MAX_REGIONS}), got shape '
            f'{ids.shape} from {ids.min()} to {ids.max()}; use larger '
            'regions')
    write_image(path, ids.astype(np.uint16))


def read_segments(path: Union[str, Path]) -> np.ndarray:
    """Read a region map of 8, 16 or 32 bits.

    The maps that are published for SegSort have 8 bits. The value 255 is an
    ordinary region.

    Returns:
        Region ids (H, W), int64.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not an image with one channel of ids from
            0.
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
            'superpixels need scikit-image', 'oversegment', error) from error
    return segmentation
