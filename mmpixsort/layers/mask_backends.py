"""Instances from the shape of a mask, as a baseline without embeddings.

Shapes: H W size, D embedding dims.
"""
import numpy as np
import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count, check_positive
from mmpixsort.registry import MODELS
from mmpixsort.utils.extras import extra_error


@MODELS.register_module()
class ComponentsBackend(nn.Module):
    """Find instances as connected components or by a watershed.

    It can replace a :class:`ClusterBackend` and ignores the embeddings, which
    gives the baseline of a purely semantic model. The watershed runs on the
    distance to the border of the mask.

    Args:
        watershed: Whether to cut components at narrow places by a watershed.
        min_distance: Minimum distance, in pixels, of the peaks from which
            the watershed starts.
        smoothing: Standard deviation, in pixels, of the Gaussian that
            smooths the distance map, above 0. It reduces the number of peaks
            per object.
        min_pixels: Minimum number of pixels of an instance; smaller ones are
            removed.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If a number is out of range.
        ImportError: If scipy or scikit-image is missing.

    Example:
        >>> mask = torch.tensor([[True, False, True, True]])
        >>> ComponentsBackend(min_pixels=1)(torch.zeros(1, 1, 4), mask)
        tensor([[2, 0, 1, 1]], dtype=torch.int32)
    """

    def __init__(self,
                 *,
                 watershed: bool = False,
                 min_distance: int = 5,
                 smoothing: float = 1.,
                 min_pixels: int = 10) -> None:
        super().__init__()
        check_count('min_distance', min_distance)
        check_positive('smoothing', smoothing)
        check_count('min_pixels', min_pixels)
        _libraries()  # an error before a training and not after it
        self.watershed = watershed
        self.min_distance = min_distance
        self.smoothing = smoothing
        self.min_pixels = min_pixels

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return the instance map (H, W) int32 of one image.

        Instances are numbered from 1 by decreasing size; 0 is no instance.

        Args:
            embeddings: (D, H, W) embeddings, which are not used.
            mask: (H, W) bool mask of the pixels to cut into instances.
        """
        inside = mask.cpu().numpy()
        ndimage, segmentation, feature, _ = _libraries()
        ids, _ = ndimage.label(inside)
        if self.watershed:
            depth = ndimage.gaussian_filter(
                ndimage.distance_transform_edt(inside), self.smoothing)
            peaks = feature.peak_local_max(
                depth, min_distance=self.min_distance, labels=ids,
                exclude_border=False)
            markers = np.zeros(inside.shape, np.int32)
            markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
            ids = segmentation.watershed(-depth, markers, mask=inside)
        return torch.from_numpy(
            number_by_size(ids, self.min_pixels)).to(mask.device)


def components_of_ids(ids: Tensor, min_pixels: int) -> Tensor:
    """Split instances into their connected parts.

    Args:
        ids: (H, W) integer instance of each pixel, 0 for none. Pixels are
            connected if they share a side.
        min_pixels: Minimum number of pixels of a part; smaller ones are
            removed.

    Returns:
        (H, W) int32 parts, numbered from 1 by decreasing size; 0 for none.

    Raises:
        ImportError: If scipy or scikit-image is missing.
    """
    *_, measure = _libraries()
    parts = measure.label(ids.cpu().numpy(), background=0, connectivity=1)
    return torch.from_numpy(number_by_size(parts, min_pixels)).to(ids.device)


def number_by_size(ids: np.ndarray, min_pixels: int) -> np.ndarray:
    """Renumber ids (H, W) from 1 by decreasing size and remove small ones."""
    areas = np.bincount(ids.ravel())
    areas[0] = 0
    order = np.argsort(-areas, kind='stable')
    kept = order[areas[order] >= min_pixels]
    table = np.zeros(len(areas), np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[ids]


def _libraries():
    try:
        from scipy import ndimage
        from skimage import feature, measure, segmentation
    except ImportError as error:
        raise extra_error('components of masks need scipy and scikit-image',
                          'instances', error) from error
    return ndimage, segmentation, feature, measure
