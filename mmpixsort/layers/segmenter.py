"""Cut embedding maps into segments."""
from typing import Optional, Sequence, Union

from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative)
from mmpixsort.functional.segments.clustering import (FRAMES, check_grid,
                                                      spherical_kmeans)
from mmpixsort.registry import MODELS


@MODELS.register_module()
class KMeansSegmenter(nn.Module):
    """Cluster every image by spherical k-means from a grid.

    Args:
        grid: Cells along y and x, or one number for both; 5 in SegSort.
        num_iters: Iterations; 10 in SegSort and SPML.
        frame: Origin and unit of the locations: 'centered', 'unit' or 'none'.
        location_weight: Factor of the locations.
        max_segments: P, room for the segments of a batch on one device, of
            which the largest are kept in training; None: four a cluster.
            The log key `segsort_segments` says how many there are.

    Raises:
        ValueError: On values out of range.

    Example:
        >>> import torch
        >>> KMeansSegmenter(grid=2)(torch.rand(3, 8, 6, 6)).shape
        torch.Size([3, 6, 6])
    """

    def __init__(self,
                 *,
                 grid: Union[int, Sequence[int]] = 5,
                 num_iters: int = 10,
                 frame: str = 'centered',
                 location_weight: float = 1.,
                 max_segments: Optional[int] = None) -> None:
        super().__init__()
        self.grid = (grid, grid) if isinstance(grid, int) else tuple(grid)
        check_grid(self.grid)
        check_count('num_iters', num_iters, minimum=0)
        check_choice('frame', frame, FRAMES)
        check_non_negative('location_weight', location_weight)
        if max_segments is not None:
            check_count('max_segments', max_segments)
        self.max_segments = max_segments
        self.num_iters = num_iters
        self.frame = frame
        self.location_weight = location_weight

    @property
    def num_clusters(self) -> int:
        """K, clusters of an image."""
        return self.grid[0] * self.grid[1]

    def settings(self) -> dict:
        """Return what the result depends on, for the file of a bank."""
        return dict(
            grid=list(self.grid),
            num_iters=self.num_iters,
            frame=self.frame,
            location_weight=self.location_weight)

    def forward(self,
                embeddings: Tensor,
                valid: Optional[Tensor] = None) -> Tensor:
        """Return segment ids (B, H, W), -1 where `valid` (B, H, W) is not.

        In training all iterations run; in a test it stops at a fixed point,
        with the same result. A map smaller than the grid gets a grid of its
        own size.
        """
        grid = [
            min(count, side)
            for count, side in zip(self.grid, embeddings.shape[2:])
        ]
        return spherical_kmeans(
            embeddings,
            num_iters=self.num_iters,
            grid=grid,
            valid=valid,
            frame=self.frame,
            location_weight=self.location_weight,
            stop_early=not self.training)
