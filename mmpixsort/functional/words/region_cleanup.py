"""Tidy regions up: join alike ones, absorb slivers, leave no number out.

Shapes: B images, C channels, h w size of a grid, K regions of an image, S
slivers of all images.

Groups of self-supervised features are part-like, and hold small spurious
parts (arXiv 2304.01114); what is done about it is ours.
"""
from typing import Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_count, check_labels
from mmpixsort.functional.segments.graph import check_cosine, merge_segments

from .regions import pool_regions


@torch.no_grad()
def compact_ids(ids: Tensor, num_regions: int) -> Tensor:
    """Renumber the regions of each image 0, 1, ... in their order.

    Args:
        ids: (B, h, w) integer in [0, K), negative: in no region.
        num_regions: K.

    Returns:
        (B, h, w) int64, -1 in no region.

    Example:
        >>> compact_ids(torch.tensor([[[5, 2, -1, 5]]]), 6)
        tensor([[[ 1,  0, -1,  1]]])
    """
    ids = check_ids(ids)
    check_count('num_regions', num_regions)
    flat = ids.flatten(1)
    # a dump for what is in no region
    slots = flat.masked_fill(flat < 0, num_regions)
    present = slots.new_zeros(len(ids), num_regions + 1)
    present.scatter_(1, slots, 1)
    numbers = present[:, :-1].cumsum(1) - 1
    numbers = torch.cat([numbers, numbers.new_full((len(ids), 1), -1)], 1)
    return numbers.gather(1, slots).view(ids.shape)


@torch.no_grad()
def merge_similar(features: Tensor, ids: Tensor, num_regions: int, *,
                  threshold: float) -> Tensor:
    """Join regions of alike features, wherever they lie.

    Average linkage of the mean unit features, weighted by areas, as
    :func:`mmpixsort.functional.segments.graph.merge_segments` with an edge
    between any two. Image by image, on the CPU.

    Args:
        features: (B, C, h, w), of any length.
        ids: (B, h, w) integer in [0, K), negative: in no region.
        num_regions: K.
        threshold: Cosine that a pair must exceed.

    Returns:
        (B, h, w) int64, 0, 1, ... in each image, -1 in no region.

    Example:
        >>> features = torch.tensor([[1., 0., 1.], [0., 1., .1]])
        >>> merge_similar(features.view(1, 2, 1, 3),
        ...               torch.tensor([[[0, 1, 2]]]), 3, threshold=.9)
        tensor([[[0, 1, 0]]])
    """
    check_cosine('threshold', threshold)
    ids = check_ids(ids)
    means, valid = pool_regions(normalize(features, dim=1), ids, num_regions)
    # the last entry is for what is in no region, id -1
    owners = ids.new_full((len(ids), num_regions + 1), -1)
    areas = _areas(ids, num_regions)
    edges = ~torch.eye(num_regions, dtype=torch.bool)
    for image in range(len(ids)):
        owners[image, :-1] = merge_segments(
            normalize(means[image], dim=1), areas[image], edges,
            threshold=threshold)
    slots = ids.flatten(1)
    slots = slots.masked_fill(slots < 0, num_regions)
    return owners.gather(1, slots).view(ids.shape)


@torch.no_grad()
def absorb_slivers(features: Tensor, ids: Tensor, num_regions: int, *,
                   min_area: int) -> Tensor:
    """Give small connected parts to the nearest of their neighbour regions.

    A sliver is a part of a region, connected over sides of pixels, of less
    than `min_area` pixels. Of the regions that it touches it goes to the one
    of the most similar mean feature, slivers left out of the mean. One that
    touches slivers alone waits for them; one with nothing around it, or in
    an image of slivers, stays what it is.

    Args:
        features: (B, C, h, w), of any length.
        ids: (B, h, w) integer in [0, K), negative: in no region.
        num_regions: K.
        min_area: Pixels of the grid that a part must have, 0 or more.

    Returns:
        (B, h, w) int64; a region of slivers alone leaves its number unused.

    Example:
        >>> ids = torch.tensor([[[0, 0, 1, 0, 0, 2, 2]]])
        >>> absorb_slivers(torch.ones(1, 1, 1, 7), ids, 3, min_area=2)
        tensor([[[0, 0, 0, 0, 0, 2, 2]]])
    """
    check_count('min_area', min_area, minimum=0)
    ids = check_ids(ids)
    units = normalize(features, dim=1)
    kept, slivers, images = _split(ids, min_area)
    count = len(images)
    means = pool_regions(units, kept, num_regions).means
    own = _sliver_means(units, slivers, count)
    similarity = torch.einsum('sc,skc->sk', own,
                              normalize(means, dim=2)[images])
    here, there = neighbor_pairs(ids)
    slot, flat = slivers.flatten(), kept.flatten().clone()
    # every round settles one sliver at least, or nothing any more
    for _ in range(count):
        row, region = slot[here], flat[there]
        waiting = (flat[here] < 0) & (row >= 0) & (region >= 0)
        touches = torch.zeros_like(similarity, dtype=torch.bool)
        touches[row[waiting], region[waiting]] = True
        found = similarity.masked_fill(~touches, -torch.inf).argmax(1)
        found = found.masked_fill(~touches.any(1), -1)
        if not touches.any():
            break
        flat = torch.where((flat < 0) & (slot >= 0), found[slot], flat)
    lonely = (flat < 0) & (slot >= 0)
    return torch.where(lonely, ids.flatten(), flat).view(ids.shape)


def _split(ids: Tensor, min_area: int) -> Tuple[Tensor, Tensor, Tensor]:
    """Return large parts and slivers (B, h, w), and images of slivers (S,).

    Large parts keep their region, slivers are numbered over the batch; -1
    elsewhere.
    """
    parts = connected_parts(ids)
    inside = parts >= 0
    areas = parts[inside].bincount(minlength=parts.numel())
    small = inside & (areas[parts] < min_area)
    firsts, numbers = parts[small].unique(return_inverse=True)
    slivers = torch.full_like(ids, -1).masked_scatter_(small, numbers)
    images = firsts // max(1, ids[0].numel())
    return ids.masked_fill(small | ~inside, -1), slivers, images


def _sliver_means(units: Tensor, slivers: Tensor, count: int) -> Tensor:
    """Return the unit mean feature (S, C) of every sliver."""
    chosen = slivers >= 0
    rows = units.permute(0, 2, 3, 1)[chosen]
    sums = rows.new_zeros(count, rows.shape[1]).index_add_(
        0, slivers[chosen], rows)
    return normalize(sums, dim=1).to(
        torch.promote_types(units.dtype, torch.float32))


@torch.no_grad()
def connected_parts(ids: Tensor) -> Tensor:
    """Tell the parts of equal ids apart that no chain of sides joins.

    Args:
        ids: (B, h, w) integer, negative: in no region.

    Returns:
        (B, h, w) int64: which pixel of the batch is the first of its part,
        row by row; -1 in no region.

    Example:
        >>> connected_parts(torch.tensor([[[0, 0, 1, 0, -1]]]))
        tensor([[[ 0,  0,  2,  3, -1]]])
    """
    ids = check_ids(ids)
    flat = ids.flatten()
    here, there = neighbor_pairs(ids)
    same = (flat[here] == flat[there]) & (flat[here] >= 0)
    here, there = here[same], there[same]
    parts = torch.arange(flat.numel(), device=ids.device)
    while True:
        # the smallest around, then the smallest that this one knows
        lower = parts.scatter_reduce(0, here, parts[there], 'amin')
        lower = lower[lower]
        if torch.equal(lower, parts):
            return parts.masked_fill(flat < 0, -1).view(ids.shape)
        parts = lower


def neighbor_pairs(ids: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the pixels (N,), (N,) that share a side, both ways.

    Args:
        ids: (B, h, w), whose shape alone counts.
    """
    index = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
    first = torch.cat([index[:, :, :-1].flatten(), index[:, :-1].flatten()])
    second = torch.cat([index[:, :, 1:].flatten(), index[:, 1:].flatten()])
    return torch.cat([first, second]), torch.cat([second, first])


def check_ids(ids: Tensor) -> Tensor:
    """Return integers (B, h, w) as int64, or raise."""
    if ids.dim() != 3:
        raise ValueError('`ids` must have shape (B, h, w), got '
                         f'{tuple(ids.shape)}')
    return check_labels('ids', ids, ids.shape)


def _areas(ids: Tensor, num_regions: int) -> Tensor:
    """Return the pixels (B, K) of every region."""
    slots = ids.flatten(1)
    slots = slots.masked_fill(slots < 0, num_regions)
    areas = slots.new_zeros(len(ids), num_regions + 1)
    return areas.scatter_add_(1, slots, torch.ones_like(slots))[:, :-1]
