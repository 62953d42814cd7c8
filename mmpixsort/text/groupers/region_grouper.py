"""Group the pixels of images into regions by features of a frozen network.

Shapes: B images, H W size of the images, h w size of the grid of features,
K regions of an image.

"Associating Spatially-Consistent Grouping with Text-supervised Semantic
Segmentation" (arXiv 2304.01114, 2023) also groups with a self-supervised
model. We found no published description of its algorithm; this one is our
own.
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
    """Cluster the features of each image, without gradients and words.

    The method is spherical k-means, started from a grid of seeds. It runs on
    features and locations (:class:`KMeansSegmenter`), or on the first K
    eigenvectors of the graph of patches in place of the features. Afterwards
    similar groups may be merged and small parts absorbed. The result is
    deterministic: no random number is drawn.

    Args:
        feature: Module, or its config, from images (B, 3, H, W) to features
            (B, C, h, w): `SSLFeature`, `ColorFeature` or any registered one.
            It is frozen.
        grid: Number of seeds along y and x, or one number for both. Their
            product is K.
        method: 'kmeans', or 'spectral', which takes O((h w)^3) operations
            and is limited to 784 patches an image.
        num_iters: Number of iterations of k-means.
        frame: Origin and unit of the locations: 'centered', 'unit' or 'none'.
        location_weight: Factor of the locations.
        merge_threshold: Cosine above which two groups are merged, wherever
            they lie; it is compared with their mean cosine (average
            linkage). This undoes over-segmentation. None merges nothing.
        min_area: Smallest number of patches of a connected part of a group.
            A smaller part is absorbed by its most similar neighbour.

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
        """Stay in evaluation mode, since nothing here is trained."""
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
        """Merge groups, absorb small parts, and number the rest anew."""
        if self.merge_threshold is not None:
            ids = merge_similar(
                features, ids, self.num_regions,
                threshold=self.merge_threshold)
        if self.min_area > 1:
            ids = absorb_slivers(
                features, ids, self.num_regions, min_area=self.min_area)
        return compact_ids(ids, self.num_regions)
