"""Segmentation of embedding maps by clustering."""
from typing import Optional, Sequence, Union

from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative)
from mmpixsort.functional.segments.clustering import (FRAMES, check_grid,
                                                      spherical_kmeans)
from mmpixsort.registry import MODELS


@MODELS.register_module()
class KMeansSegmenter(nn.Module):
    """Cut every image into clusters by spherical k-means from a grid.

    See :func:`mmpixsort.functional.spherical_kmeans`.

    Args:
        grid: Number of cells of the initial grid along y and along x, or one
            number for both; 5 in SegSort.
        num_iters: Number of iterations, 0 or more; 10 in SegSort and SPML.
        frame: Range of the pixel locations: 'centered', 'unit' or 'none'.
        location_weight: Factor of the locations, 0 or more.
        max_segments: Maximum number of segments P of a batch on one device;
            the largest ones are kept in training. The log key
            `segsort_segments` shows how many there are. None allows four
            segments per cluster.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If an option is out of range.

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
        """Number of clusters K of an image."""
        return self.grid[0] * self.grid[1]

    def settings(self) -> dict:
        """Return the options that the clusters depend on, for bank files."""
        return dict(
            grid=list(self.grid),
            num_iters=self.num_iters,
            frame=self.frame,
            location_weight=self.location_weight)

    def forward(self,
                embeddings: Tensor,
                valid: Optional[Tensor] = None) -> Tensor:
        """Return the cluster (B, H, W) of each pixel, -1 for ignored pixels.

        In training all iterations run. In evaluation mode the iteration
        stops as soon as no cluster changes, with the same result. If the map
        has fewer pixels along a side than the grid has cells, there is one
        cell per pixel.

        Args:
            embeddings: (B, D, H, W) floating tensor.
            valid: (B, H, W) bool mask of the pixels to cluster; None
                clusters all pixels.
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
