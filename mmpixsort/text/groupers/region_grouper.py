"""Group the pixels of images into regions by features of a frozen network.

Shapes: B images, H W size of the images, h w size of the grid of features,
K regions of an image.

"Associating Spatially-Consistent Grouping with Text-supervised Semantic
Segmentation" (arXiv 2304.01114, 2023) also groups with a self-supervised
model. We found no published description of its algorithm, so the algorithm
here is our own.
"""
from typing import Optional, Sequence, Union

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import check_choice, check_count, check_mask
from mmpixsort.functional.segments.graph import check_cosine
from mmpixsort.functional.words.region_cleanup import (absorb_slivers,
                                                       compact_ids,
                                                       merge_similar)
from mmpixsort.functional.words.regions import resize_ids
from mmpixsort.functional.words.spectral import spectral_embedding
from mmpixsort.layers.segmenter import KMeansSegmenter
from mmpixsort.registry import MODELS

METHODS = ('kmeans', 'spectral')


@MODELS.register_module()
class RegionGrouper(nn.Module):
    """Group the pixels of each image into regions by clustering features.

    The pixels are clustered by spherical k-means, which starts from a grid of
    seeds. With the method 'kmeans', it compares features and locations
    (:class:`KMeansSegmenter`); with 'spectral', the first K eigenvectors of
    the graph of patches replace the features. Afterwards similar groups can
    be merged, and small parts of groups can be given to their neighbours. No
    random numbers are drawn, so the result is deterministic.

    Args:
        feature: Module that maps images (B, 3, H, W) to features
            (B, C, h, w), or its config: `SSLFeature`, `ColorFeature`,
            `BackboneFeature` or another registered module. It is frozen.
        grid: Number of seeds along y and x, or one number for both. Their
            product is K.
        method: 'kmeans', or 'spectral', which takes O((h w)^3) operations
            and is limited to 784 patches per image.
        num_iters: Number of iterations of k-means.
        frame: Range of the pixel locations: 'centered', 'unit' or 'none'.
        location_weight: Factor of the locations.
        merge_threshold: Two groups are merged if the mean cosine between
            their features (average linkage) is above this threshold, even if
            they do not touch. None merges no groups.
        min_area: Smallest number of patches of a connected part of a group.
            A smaller part is added to its most similar neighbour.

    Raises:
        TypeError, ValueError: If a value is out of range.

    Example:
        >>> import torch
        >>> from mmpixsort.text.groupers.color_feature import ColorFeature
        >>> grouper = RegionGrouper(feature=ColorFeature(stride=2), grid=2)
        >>> grouper(torch.rand(3, 3, 8, 12)).shape, grouper.num_regions
        (torch.Size([3, 4, 6]), 4)
    """

    def __init__(self,
                 *,
                 feature: Union[dict, nn.Module],
                 grid: Union[int, Sequence[int]] = 4,
                 method: str = 'kmeans',
                 num_iters: int = 10,
                 frame: str = 'centered',
                 location_weight: float = 1.,
                 merge_threshold: Optional[float] = None,
                 min_area: int = 0) -> None:
        super().__init__()
        check_choice('method', method, METHODS)
        if merge_threshold is not None:
            check_cosine('merge_threshold', merge_threshold)
        check_count('min_area', min_area, minimum=0)
        if isinstance(feature, dict):
            feature = MODELS.build(feature)
        self.feature = feature.requires_grad_(False)
        self.segmenter = KMeansSegmenter(
            grid=grid, num_iters=num_iters, frame=frame,
            location_weight=location_weight)
        self.method = method
        self.merge_threshold = merge_threshold
        self.min_area = min_area

    @property
    def num_regions(self) -> int:
        """Largest possible number K of regions of an image."""
        return self.segmenter.num_clusters

    def train(self, mode: bool = True) -> 'RegionGrouper':
        """Stay in evaluation mode, because nothing here is trained."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor,
                valid: Optional[Tensor] = None) -> Tensor:
        """Return region ids (B, h, w), int64 in [0, K), -1 for padding.

        Args:
            images: Images (B, 3, H, W).
            valid: Mask (B, H, W) of type bool, False for padding. A patch
                takes part if at least half of its pixels are valid. None
                means that all pixels are valid.

        Raises:
            ValueError: If `valid` has a wrong size, or there are too many
                patches for `method='spectral'`.
        """
        features = self.feature(images)
        size = tuple(features.shape[2:])
        if valid is not None:
            check_mask('valid', valid, (len(images), *images.shape[2:]))
            valid = resize_ids(valid.long() - 1, size, 1) == 0
        if self.method == 'spectral':
            points = spectral_embedding(
                features, num_vectors=self.num_regions, valid=valid)
        else:
            points = features
        ids = self.segmenter(points, valid)
        return self._tidy(features, ids)

    def _tidy(self, features: Tensor, ids: Tensor) -> Tensor:
        """Merge similar groups, remove small parts, and renumber groups."""
        if self.merge_threshold is not None:
            ids = merge_similar(
                features, ids, self.num_regions,
                threshold=self.merge_threshold)
        if self.min_area > 1:
            ids = absorb_slivers(
                features, ids, self.num_regions, min_area=self.min_area)
        return compact_ids(ids, self.num_regions)
