"""Instances from a mask alone: what embeddings are compared with.

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
    """Connected components, or a watershed of the distance to the border.

    Takes the place of a :class:`ClusterBackend` in a head whose embeddings
    are not looked at: the baseline of a semantic model.

    Args:
        watershed: Whether touching objects are cut where they are narrow.
        min_distance: Least distance, in pixels, of the peaks that a watershed
            starts from.
        smoothing: Sigma of the distance map, pixels; a peak an object needs
            some.
        min_pixels: Smaller instances are left out.

    Raises:
        ImportError: Without scipy and scikit-image.
        ValueError: On values out of range.

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
        self.watershed = watershed
        self.min_distance = min_distance
        self.smoothing = smoothing
        self.min_pixels = min_pixels

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return the instance map (H, W) int32, 1, 2, ... by size.

        Args:
            embeddings: (D, H, W), not looked at.
            mask: (H, W) bool.
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
    """Split the parts of each id (H, W) that do not share a side.

    Returns:
        (H, W) int32, 1, 2, ... by decreasing size, 0: none or too small.

    Raises:
        ImportError: Without scikit-image.
    """
    *_, measure = _libraries()
    parts = measure.label(ids.cpu().numpy(), background=0, connectivity=1)
    return torch.from_numpy(number_by_size(parts, min_pixels)).to(ids.device)


def number_by_size(ids: np.ndarray, min_pixels: int) -> np.ndarray:
    """Number ids anew by decreasing size, without the small ones."""
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
