"""The mean feature of regions whose ids lie on another grid."""
from typing import Optional

from torch import Tensor, nn

from ..functional.checks import check_count
from ..functional.regions import PooledRegions, pool_regions, resize_ids
from ..registry import MODELS


@MODELS.register_module()
class RegionPool(nn.Module):
    """Average features over regions, ids resized to the grid of features.

    By area majority, :func:`mmpixsort.functional.regions.resize_ids`: a
    region that covers the majority of no pixel is invalid.

    Args:
        num_regions: K.

    Example:
        >>> import torch
        >>> ids = torch.zeros(2, 8, 8, dtype=torch.long)
        >>> means, valid = RegionPool(num_regions=3)(
        ...     torch.rand(2, 5, 4, 4), ids)
        >>> means.shape, valid[0]
        (torch.Size([2, 3, 5]), tensor([ True, False, False]))
    """

    def __init__(self, *, num_regions: int) -> None:
        super().__init__()
        check_count('num_regions', num_regions)
        self.num_regions = num_regions

    def forward(self,
                features: Tensor,
                ids: Tensor,
                weights: Optional[Tensor] = None) -> PooledRegions:
        """Return means (B, K, C) and which regions are valid (B, K).

        Args:
            features: (B, C, h, w).
            ids: (B, h2, w2) integer, outside [0, K): in no region.
            weights: (B, h, w), 0 or more, on the grid of the features.
        """
        ids = resize_ids(ids, tuple(features.shape[2:]), self.num_regions)
        return pool_regions(features, ids, self.num_regions, weights)
