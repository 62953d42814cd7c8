"""Cut the regions of a batch into segments of an embedding.

Shapes: B images, D embedding dims, h w size of the embedding, N = B * h * w
pixels, R regions of an image, M clusters of a region, P segments of a batch.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from mmengine.dist import get_rank
from torch import Tensor
from torch.nn.functional import interpolate

from mmpixsort.functional.checks import (check_count, check_non_negative,
                                         check_positive)
from mmpixsort.functional.segments.partition import partition_regions
from mmpixsort.functional.segments.prototypes import (CODE_BASE, find_segments,
                                                      join_codes, prototypes)
from mmpixsort.layers.head_parts import has_no_length

from .panoptic_targets import PanopticTargets


class SegmentCut(NamedTuple):
    """How regions are cut into segments, in training and in the test.

    Attributes:
        cell_area: Number of pixels of the embedding by segment; larger
            regions are cut.
        max_clusters: M, largest number of segments of a region.
        num_iters: Number of iterations of the clustering; 10 in SegSort.
        location_weight: Factor of locations in the clustering, in units of
            64 pixels of the embedding.
        max_segments: Largest number of segments of an image in training, of
            which the largest are kept.
        test_cell_area: As `cell_area`, in the test.
        test_max_clusters: As `max_clusters`, in the test, where a region is
            a connected part of a class.
    """

    cell_area: float = 64.
    max_clusters: int = 9
    num_iters: int = 10
    location_weight: float = 1.
    max_segments: int = 256
    test_cell_area: float = 64.
    test_max_clusters: int = 64

    def check(self) -> 'SegmentCut':
        """Raise ValueError on values out of range."""
        for name in ('cell_area', 'test_cell_area'):
            check_positive(f'cut.{name}', getattr(self, name))
        for name in ('max_clusters', 'test_max_clusters', 'max_segments'):
            check_count(f'cut.{name}', getattr(self, name))
        check_count('cut.num_iters', self.num_iters, minimum=0)
        check_non_negative('cut.location_weight', self.location_weight)
        return self

    def training(self) -> dict:
        """Return the options of `partition_regions` in training."""
        return dict(
            cell_area=self.cell_area,
            max_clusters=self.max_clusters,
            num_iters=self.num_iters,
            location_weight=self.location_weight)

    def test(self) -> dict:
        """Return the options of `partition_regions` in the test."""
        return dict(
            self.training(),
            cell_area=self.test_cell_area,
            max_clusters=self.test_max_clusters)


class Partition(NamedTuple):
    """Segments of a batch.

    Attributes:
        rows: (N, D) unit embeddings.
        segment_ids: (N,) int64 segment of each pixel, -1: none.
        prototypes: (P, D) unit means of the segments.
        regions: (P,) int64 region of each segment in its image, -1: the
            place is not used.
        images: (P,) int64 number of its image, counted over all ranks.
        areas: (B, R) number of pixels of each region.
        pixel_regions: (N,) int64 region of each pixel, -1: none.
        pixel_images: (N,) int64 image of each pixel in the batch.
        num_found: () number of segments in the batch.
    """

    rows: Tensor
    segment_ids: Tensor
    prototypes: Tensor
    regions: Tensor
    images: Tensor
    areas: Tensor
    pixel_regions: Tensor
    pixel_images: Tensor
    num_found: Tensor


def partition_batch(embeddings: Tensor, targets: PanopticTargets, *,
                    cut: SegmentCut, most: Optional[int] = None) -> Partition:
    """Cut the regions of a batch and average their pixels.

    Args:
        embeddings: (B, D, h, w) unit embeddings.
        targets: Ground truth of the batch.
        cut: How regions are cut.
        most: Number of images that there is room for, on the rank with
            the most of them; None: B.
    """
    batch, _, height, width = embeddings.shape
    most = most or batch
    # the centre of a cell, which a resized logit is of too; in float64,
    # which holds every region
    regions = interpolate(
        targets.regions[:, None].double(), size=(height, width),
        mode='nearest-exact')[:, 0].long()
    num_regions = max(1, targets.num_regions)
    clusters = partition_regions(
        embeddings.detach(), regions, num_regions=num_regions,
        **cut.training())
    kept, num_found = largest_clusters(
        regions, clusters, num_regions, cut.max_clusters, cut.max_segments)
    image = torch.arange(batch, device=regions.device)
    image = image.repeat_interleave(height * width)
    region = regions.flatten()
    found = find_segments(
        join_codes(
            image, region, kept.flatten(),
            bounds=(batch, num_regions, cut.max_clusters)),
        most * cut.max_segments)
    rows = embeddings.permute(0, 2, 3, 1).flatten(0, 2)
    codes = found.codes // CODE_BASE
    slots = (image * num_regions + region).masked_fill(
        region < 0, batch * num_regions)
    areas = torch.zeros(
        batch * num_regions + 1, device=slots.device).scatter_add_(
            0, slots, torch.ones_like(slots, dtype=torch.float32))
    means = prototypes(rows, found.segment_ids, len(found.codes))
    return Partition(
        rows, found.segment_ids.masked_fill(has_no_length(rows), -1),
        means,
        codes.remainder(CODE_BASE).masked_fill(
            (found.codes < 0) | has_no_length(means), -1),
        codes // CODE_BASE + get_rank() * most,
        areas[:-1].view(batch, num_regions), region, image, num_found)


def largest_clusters(regions: Tensor, clusters: Tensor, num_regions: int,
                     max_clusters: int,
                     max_segments: int) -> Tuple[Tensor, Tensor]:
    """Keep the largest clusters of each image, without a synchronisation.

    Args:
        regions: (B, h, w) in [0, R), -1: none.
        clusters: (B, h, w) in [0, M) within each region, -1: none.
        num_regions: R.
        max_clusters: M.
        max_segments: Number of clusters of an image that are kept.

    Returns:
        (B, h, w) as `clusters`, -1 where one is left out, and () the number
        of clusters in the batch before.
    """
    count = num_regions * max_clusters
    slots = (regions * max_clusters + clusters).masked_fill(
        regions < 0, count).flatten(1)
    areas = slots.new_zeros(len(slots), count + 1).scatter_add_(
        1, slots, torch.ones_like(slots))[:, :-1]
    kept = torch.zeros(
        len(slots), count + 1, dtype=torch.bool, device=slots.device)
    kept.scatter_(
        1, areas.topk(min(count, max_segments), dim=1).indices, True)
    stays = kept.gather(1, slots).view_as(clusters)
    return clusters.masked_fill(~stays, -1), (areas > 0).sum()
