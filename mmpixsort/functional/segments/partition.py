"""Cut every region of a map into as many clusters as its size asks for.

Shapes: B images, D embedding dims, H W size, N = B * H * W pixels, R regions
of an image, M clusters of a region at most, G blocks of P pixels.

A region that is one segment has no other segment as a positive; a region of
many small clusters floods the denominator with them. So large regions get
more, small ones one or two ("dynamic partitioning" is named in the abstract
of Panoptic Segment Sorting, OpenReview 1eKz1kjHO1; this rule is ours).
"""
from typing import NamedTuple, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import (check_count, check_labels,
                                         check_positive)
from mmpixsort.functional.precision import autocast_off

from .clustering import check_map, locate

BLOCK = 64  # P
MAX_SIMILARITIES = 1 << 23  # of one product, 32 MiB


class Boxes(NamedTuple):
    """The box of each region.

    Attributes:
        top: (B, R) int64, first row of the box of a region.
        left: (B, R).
        height: (B, R), 1 for an empty region.
        width: (B, R).
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


class Grids(NamedTuple):
    """The grid that each region starts from.

    Attributes:
        boxes: Boxes of the regions.
        rows: (B, R) cells along y.
        columns: (B, R) cells along x; rows * columns is at most M.
    """

    boxes: Boxes
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
                      location_weight: float = 1.,
                      location_unit: float = 64.) -> Tensor:
    r"""Cluster the pixels of each region among themselves.

    Region r of area A_r starts from a grid inside its box of about
    :math:`K_r = \mathrm{clip}(\mathrm{round}(A_r / a_0), 1, M)` cells, then
    spherical k-means on u of :func:`locate`, in which a pixel chooses among
    the clusters of its own region. Locations are relative to the centre of
    that box in units of a fixed number of pixels, so that neither the size
    of the map nor where a region lies matters: a crop and a whole image are
    cut alike. All images and regions at once, no wait for the device; takes
    some N x D numbers and 2^23 similarities, whatever R is.

    Args:
        embeddings: (B, D, H, W).
        regions: (B, H, W) integer in [0, R); negative: takes no part.
        num_regions: R.
        cell_area: a_0, pixels.
        max_clusters: M.
        num_iters: Iterations, 0 or more.
        location_weight: Multiplies the locations.
        location_unit: Pixels that make a location of 1.

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
    regions = check_labels('regions', regions,
                           (len(embeddings), *embeddings.shape[2:]))
    check_count('num_regions', num_regions)
    check_count('max_clusters', max_clusters)
    check_count('num_iters', num_iters, minimum=0)
    check_positive('cell_area', cell_area)
    check_positive('location_unit', location_unit)
    outside = regions < 0
    slots = regions.masked_fill(outside, num_regions)
    grids = region_grids(slots, num_regions, cell_area, max_clusters)
    labels = _start(slots, grids, max_clusters)
    with autocast_off(embeddings.device):
        if embeddings.dtype != torch.float64:
            embeddings = embeddings.float()
        places = _places(slots, grids.boxes) / location_unit
        rows = locate(embeddings, locations=places, weight=location_weight)
        rows = rows.permute(0, 2, 3, 1).flatten(0, 2)
        image = torch.arange(len(slots), device=slots.device)
        # one slot for what lies outside of all images
        owner = (image[:, None, None] * num_regions + slots).masked_fill(
            outside, len(slots) * num_regions)
        labels = _iterate(
            rows.masked_fill(outside.flatten()[:, None], 0.),
            owner.flatten(), labels.flatten(), len(slots) * num_regions,
            max_clusters, num_iters)
    return labels.view_as(slots).masked_fill(outside, -1)


def region_boxes(slots: Tensor, num_regions: int) -> Boxes:
    """Return the boxes of regions (B, H, W) in [0, R]; R is not looked at."""
    height, width = slots.shape[1:]
    flat = slots.flatten(1)
    y = torch.arange(height, device=flat.device).repeat_interleave(width)
    x = torch.arange(width, device=flat.device).repeat(height)

    def extreme(values: Tensor, start: int, reduce: str) -> Tensor:
        table = flat.new_full((len(flat), num_regions + 1), start)
        return table.scatter_reduce_(
            1, flat, values.expand_as(flat), reduce)[:, :-1]

    top, left = extreme(y, height, 'amin'), extreme(x, width, 'amin')
    return Boxes(top, left,
                 (extreme(y, -1, 'amax') - top + 1).clamp(min=1),
                 (extreme(x, -1, 'amax') - left + 1).clamp(min=1))


def region_grids(slots: Tensor, num_regions: int, cell_area: float,
                 max_clusters: int) -> Grids:
    """Return boxes and grids of regions (B, H, W); slot R is not looked at.
    """
    boxes = region_boxes(slots, num_regions)
    flat = slots.flatten(1)
    areas = flat.new_zeros(len(flat), num_regions + 1).scatter_add_(
        1, flat, torch.ones_like(flat))[:, :-1]
    count = (areas / cell_area).round().clamp(1, max_clusters)
    rows = (count * boxes.height / boxes.width).sqrt().round().clamp(min=1)
    rows = torch.minimum(rows, count).long()
    return Grids(boxes, rows, (count.long() // rows).clamp(min=1))


def _of_pixels(parts: Tuple[Tensor, ...], slots: Tensor) -> Tuple[Tensor, ...]:
    """Return what each (B, R) says at each pixel (B, H, W), 1 outside."""
    return tuple(
        torch.cat([part, torch.ones_like(part[:, :1])], 1).gather(
            1, slots.flatten(1)).view_as(slots) for part in parts)


def _start(slots: Tensor, grids: Grids, max_clusters: int) -> Tensor:
    """Return the cell (B, H, W) of the grid of its region for each pixel."""
    box = Boxes(*_of_pixels(grids.boxes, slots))
    rows, columns = _of_pixels(grids[1:], slots)
    y = torch.arange(slots.shape[1], device=slots.device)[:, None]
    x = torch.arange(slots.shape[2], device=slots.device)
    row = (y - box.top) * rows // box.height
    column = (x - box.left) * columns // box.width
    return (row * columns + column).clamp(0, max_clusters - 1)


def _places(slots: Tensor, boxes: Boxes) -> Tensor:
    """Return y and x (B, 2, H, W) from the centre of the box of a pixel."""
    box = Boxes(*_of_pixels(boxes, slots))
    y = torch.arange(slots.shape[1], device=slots.device)[:, None]
    x = torch.arange(slots.shape[2], device=slots.device)
    return torch.stack([y - box.top - (box.height - 1) / 2,
                        x - box.left - (box.width - 1) / 2], 1)


def _blocks(owner: Tensor, count: int) -> Tuple[Tensor, Tensor]:
    """Sort pixels into blocks that hold pixels of one region each.

    As many blocks as there may have to be, since their number is not known
    on the host.

    Args:
        owner: (N,) region in [0, count]; `count`: in none.

    Returns:
        Place (N,) of each pixel, G * P for one in no region, and region
        (G,) of each block.
    """
    length = len(owner)
    areas = owner.new_zeros(count + 1).scatter_add_(
        0, owner, torch.ones_like(owner))
    order = owner.argsort(stable=True)
    rank = torch.empty_like(owner).scatter_(
        0, order, torch.arange(length, device=owner.device))
    rank = rank - (areas.cumsum(0) - areas)[owner]
    needed = (areas[:-1] + BLOCK - 1) // BLOCK
    last = needed.cumsum(0)
    number = length // BLOCK + min(count, length)
    first = torch.cat([last - needed, last.new_full((1, ), number)])
    place = torch.where(owner < count, first[owner] * BLOCK + rank,
                        number * BLOCK)
    numbers = torch.arange(number, device=owner.device)
    region = torch.searchsorted(last, numbers, right=True)
    return place, region.clamp(max=count - 1)


def _iterate(rows: Tensor, owner: Tensor, labels: Tensor, count: int,
             max_clusters: int, num_iters: int) -> Tensor:
    """Iterate on unit points (N, D) from labels (N,)."""
    if not num_iters:
        return labels
    dims = rows.shape[1]
    place, region = _blocks(owner, count)
    blocks = rows.new_zeros(len(region) * BLOCK + 1, dims)
    blocks = blocks.index_copy_(
        0, place.clamp(max=len(blocks) - 1), rows)[:-1].view(-1, BLOCK, dims)
    size = max(1, MAX_SIMILARITIES // (BLOCK * max_clusters))
    for _ in range(num_iters):
        sums = rows.new_zeros((count + 1) * max_clusters, dims).index_add_(
            0, owner * max_clusters + labels, rows)
        means = normalize(sums, dim=1).view(count + 1, max_clusters, dims)
        # an empty cluster must not win by its similarity of zero
        empty = (means == 0).all(2)
        found = [
            torch.bmm(part, means[own].transpose(1, 2)).masked_fill_(
                empty[own][:, None], -torch.inf).argmax(2).flatten()
            for part, own in zip(blocks.split(size), region.split(size))]
        labels = torch.cat([*found, labels.new_zeros(1)])[place]
    return labels
