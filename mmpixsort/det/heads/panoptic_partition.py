"""The partition of the regions of a batch into segments of an embedding.

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
    """Options for cutting regions into segments, in training and in the test.

    Attributes:
        cell_area: Area that one segment stands for, in pixels of the
            embedding map, above 0. A region of area A gets about
            A / `cell_area` segments.
        max_clusters: Maximum number of segments of a region M, 1 or more.
        num_iters: Number of iterations of the clustering, 0 or more; 10 in
            SegSort.
        location_weight: Factor of the pixel locations in the clustering, 0
            or more. A location is measured in units of 64 pixels of the
            embedding map.
        max_segments: Maximum number of segments of an image in training, 1
            or more; the largest segments are kept.
        test_cell_area: `cell_area` for the test.
        test_max_clusters: `max_clusters` for the test, where a region is a
            connected part of a class.
    """

    cell_area: float = 64.
    max_clusters: int = 9
    num_iters: int = 10
    location_weight: float = 1.
    max_segments: int = 256
    test_cell_area: float = 64.
    test_max_clusters: int = 64

    def check(self) -> 'SegmentCut':
        """Return the options, or raise ValueError on a bad value."""
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
        rows: (N, D) unit embeddings of the pixels.
        segment_ids: (N,) int64 segment of each pixel in [0, P); -1 is none.
        prototypes: (P, D) unit mean embeddings of the segments.
        regions: (P,) int64 region of each segment in its image; -1 for an
            unused row of the P.
        images: (P,) int64 number of the image of each segment, counted over
            all ranks.
        areas: (B, R) float32 number of pixels of each region.
        pixel_regions: (N,) int64 region of each pixel; -1 is none.
        pixel_images: (N,) int64 image of each pixel in the batch.
        num_found: () int64 number of segments before `max_segments` drops
            any.
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
    """Cut the regions of a batch into segments and compute their prototypes.

    Args:
        embeddings: (B, D, h, w) unit embeddings.
        targets: Ground truth of the batch.
        cut: Options for cutting regions into segments.
        most: Largest number of images on any rank, so that all ranks have
            the same P = `most` * `cut.max_segments`. None takes B.
    """
    batch, _, height, width = embeddings.shape
    most = most or batch
    # 'nearest-exact' reads the centre of a cell, which is where resized
    # logits lie too; float64 represents every region number exactly
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
    """Keep the largest clusters of each image, without waiting for the device.

    Args:
        regions: (B, h, w) int64 region of each pixel in [0, R); -1 is none.
        clusters: (B, h, w) int64 cluster of each pixel in [0, M), numbered
            within each region; -1 is none.
        num_regions: Maximum number of regions of an image R.
        max_clusters: Maximum number of clusters of a region M.
        max_segments: Maximum number of clusters of an image to keep.

    Returns:
        `clusters` (B, h, w) with -1 in place of dropped clusters, and the
        number () of clusters in the batch before the drop.
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
