"""Cut every region of a map into as many clusters as its size asks for.

Shapes: B images, D embedding dims, H W size, N = H * W pixels, R regions of
an image, M clusters of a region at most.

A region that is one segment has no other segment as a positive; a region of
many small clusters floods the denominator with them. So large regions get
more, small ones one or two ("dynamic partitioning" is named in the abstract
of Panoptic Segment Sorting, OpenReview 1eKz1kjHO1; this rule is ours).
"""
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .checks import check_count, check_labels, check_positive
from .clustering import check_map, locate


class Grids(NamedTuple):
    """The grid that each region starts from.

    Attributes:
        top: (B, R) int64, first row of the box of a region.
        left: (B, R).
        height: (B, R), 1 for an empty region.
        width: (B, R).
        rows: (B, R) cells along y.
        columns: (B, R) cells along x; rows * columns is at most M.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    rows: Tensor
    columns: Tensor


@torch.no_grad()
def partition_regions(embeddings: Tensor,
                      regions: Tensor,
                      *,
                      num_regions: int,
                      cell_area: float,
                      max_clusters: int,
                      num_iters: int,
                      frame: str = 'centered',
                      location_weight: float = 1.) -> Tensor:
    r"""Cluster the pixels of each region among themselves.

    Region r of area A_r starts from a grid inside its box of about
    :math:`K_r = \mathrm{clip}(\mathrm{round}(A_r / a_0), 1, M)` cells, then
    spherical k-means on u of :func:`locate`, in which a pixel chooses among
    the clusters of its own region. All images and regions at once, no wait
    for the device.

    Args:
        embeddings: (B, D, H, W).
        regions: (B, H, W) integer in [0, R); negative: takes no part.
        num_regions: R.
        cell_area: a_0, pixels.
        max_clusters: M.
        num_iters: Iterations, 0 or more.
        frame: Of the locations, 'centered', 'unit' or 'none'.
        location_weight: Multiplies the locations.

    Returns:
        (B, H, W) int64 in [0, M) within each region, -1 outside.

    Raises:
        ValueError: On wrong shapes or values out of range.

    Example:
        >>> regions = torch.tensor([[[0, 0, 0, 0, 1, 1]]])
        >>> partition_regions(
        ...     torch.ones(1, 2, 1, 6), regions, num_regions=2, cell_area=2.,
        ...     max_clusters=4, num_iters=2)
        tensor([[[0, 0, 1, 1, 0, 0]]])
    """
    check_map(embeddings)
    check_labels('regions', regions,
                 (len(embeddings), *embeddings.shape[2:]))
    check_count('num_regions', num_regions)
    check_count('max_clusters', max_clusters)
    check_count('num_iters', num_iters, minimum=0)
    check_positive('cell_area', cell_area)
    with torch.autocast(embeddings.device.type, enabled=False):
        if embeddings.dtype != torch.float64:
            embeddings = embeddings.float()
        points = locate(
            embeddings, frame=frame, weight=location_weight).flatten(2)
    outside = regions < 0
    slots = regions.long().masked_fill(outside, num_regions)
    labels = _start(slots, num_regions, cell_area, max_clusters)
    rows = points.transpose(1, 2).masked_fill(
        outside.flatten(1)[..., None], 0.)
    labels = _iterate(rows, slots.flatten(1), labels.flatten(1),
                      num_regions, max_clusters, num_iters)
    return labels.view_as(slots).masked_fill(outside, -1)


def _start(slots: Tensor, num_regions: int, cell_area: float,
           max_clusters: int) -> Tensor:
    """Return the cell (B, H, W) of the grid of its region for each pixel."""
    grids = region_grids(slots, num_regions, cell_area, max_clusters)
    # a dump for what lies outside
    box = Grids(*(torch.cat([part, torch.ones_like(part[:, :1])], 1).gather(
        1, slots.flatten(1)).view_as(slots) for part in grids))
    height, width = slots.shape[1:]
    y = torch.arange(height, device=slots.device)[:, None]
    x = torch.arange(width, device=slots.device)
    row = (y - box.top) * box.rows // box.height
    column = (x - box.left) * box.columns // box.width
    return (row * box.columns + column).clamp(0, max_clusters - 1)


def region_grids(slots: Tensor, num_regions: int, cell_area: float,
                 max_clusters: int) -> Grids:
    """Return boxes and grids of regions (B, H, W); slot R is not looked at.
    """
    height, width = slots.shape[1:]
    flat = slots.flatten(1)
    y = torch.arange(height, device=flat.device).repeat_interleave(width)
    x = torch.arange(width, device=flat.device).repeat(height)

    def extreme(values: Tensor, start: int, reduce: str) -> Tensor:
        table = flat.new_full((len(flat), num_regions + 1), start)
        return table.scatter_reduce_(
            1, flat, values.expand_as(flat), reduce)[:, :-1]

    top, left = extreme(y, height, 'amin'), extreme(x, width, 'amin')
    tall = (extreme(y, -1, 'amax') - top + 1).clamp(min=1)
    wide = (extreme(x, -1, 'amax') - left + 1).clamp(min=1)
    areas = flat.new_zeros(len(flat), num_regions + 1).scatter_add_(
        1, flat, torch.ones_like(flat))[:, :-1]
    count = (areas / cell_area).round().clamp(1, max_clusters)
    rows = (count * tall / wide).sqrt().round().clamp(min=1)
    rows = torch.minimum(rows, count).long()
    columns = (count.long() // rows).clamp(min=1)
    return Grids(top, left, tall, wide, rows, columns)


def _iterate(rows: Tensor, slots: Tensor, labels: Tensor, num_regions: int,
             max_clusters: int, num_iters: int) -> Tensor:
    """Iterate on unit points (B, N, D) from labels (B, N)."""
    batch, length, dims = rows.shape
    image = torch.arange(batch, device=rows.device)[:, None]
    region = (image * (num_regions + 1) + slots).flatten()
    count = batch * (num_regions + 1)
    rows, labels = rows.flatten(0, 1), labels.flatten()
    for _ in range(num_iters):
        sums = rows.new_zeros(count * max_clusters, dims).index_add_(
            0, region * max_clusters + labels, rows)
        prototypes = normalize(sums, dim=1).view(count, max_clusters, dims)
        similarity = torch.bmm(
            prototypes[region], rows[:, :, None])[..., 0]
        # an empty cluster must not win by its similarity of zero
        empty = (prototypes == 0).all(2)
        labels = similarity.masked_fill_(empty[region], -torch.inf).argmax(1)
    return labels.view(batch, length)
