"""Clean-up of regions: merging, removal of small parts and renumbering.

Shapes: B images, C channels, h w size of a grid, K regions of an image, S
slivers of all images.

Groups of self-supervised features often cover parts of objects and contain
small spurious parts (https://arxiv.org/abs/2304.01114). The remedies here
are our own.
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
    """Renumber the regions of each image without gaps and in the same order.

    Args:
        ids: (B, h, w) integer region of each pixel in [0, K), negative for
            pixels in no region.
        num_regions: K.

    Returns:
        (B, h, w) int64 ids 0, 1, ... in each image, -1 for pixels in no
        region.

    Example:
        >>> compact_ids(torch.tensor([[[5, 2, -1, 5]]]), 6)
        tensor([[[ 1,  0, -1,  1]]])
    """
    ids = check_ids(ids)
    check_count('num_regions', num_regions)
    flat = ids.flatten(1)
    # an extra slot for pixels in no region
    slots = flat.masked_fill(flat < 0, num_regions)
    present = slots.new_zeros(len(ids), num_regions + 1)
    present.scatter_(1, slots, 1)
    numbers = present[:, :-1].cumsum(1) - 1
    numbers = torch.cat([numbers, numbers.new_full((len(ids), 1), -1)], 1)
    return numbers.gather(1, slots).view(ids.shape)


@torch.no_grad()
def merge_similar(features: Tensor, ids: Tensor, num_regions: int, *,
                  threshold: float) -> Tensor:
    """Merge the regions of an image that have similar features.

    The regions need not touch. They are merged by average linkage of their
    mean unit features, weighted by area, with
    :func:`mmpixsort.functional.merge_segments`, image by image on the CPU.

    Args:
        features: (B, C, h, w) features, which are normalised here.
        ids: (B, h, w) integer region of each pixel in [0, K), negative for
            pixels in no region.
        num_regions: K.
        threshold: Cosine similarity that two regions must exceed to merge.

    Returns:
        (B, h, w) int64 ids 0, 1, ... in each image, -1 for pixels in no
        region.

    Example:
        >>> features = torch.tensor([[1., 0., 1.], [0., 1., .1]])
        >>> merge_similar(features.view(1, 2, 1, 3),
        ...               torch.tensor([[[0, 1, 2]]]), 3, threshold=.9)
        tensor([[[0, 1, 0]]])
    """
    check_cosine('threshold', threshold)
    ids = check_ids(ids)
    means, valid = pool_regions(normalize(features, dim=1), ids, num_regions)
    # the last entry, -1, is for pixels in no region
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
    """Give small connected parts to the most similar region they touch.

    A sliver is a connected part of a region with fewer than `min_area`
    pixels, where pixels are connected over their sides. It joins the
    touching region with the most similar mean feature; slivers do not count
    in these means. A sliver that touches only other slivers is assigned
    after them. A sliver that no chain of slivers joins to a larger part
    keeps its region.

    Args:
        features: (B, C, h, w) features, which are normalised here.
        ids: (B, h, w) integer region of each pixel in [0, K), negative for
            pixels in no region.
        num_regions: K.
        min_area: Minimum area of a part in pixels of the grid, 0 or more.

    Returns:
        (B, h, w) int64 ids. The number of a region that had only slivers is
        no longer used.

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
    # every round but the last assigns at least one sliver
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
    """Separate the large parts of regions from slivers.

    Returns:
        Region (B, h, w) of the pixels of large parts, -1 elsewhere; number
        (B, h, w) of the sliver of each pixel, counted over the batch, -1
        elsewhere; and image (S,) of each sliver.
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
    """Label the connected parts of every region.

    Two pixels of a region are connected if a chain of its pixels that share
    sides joins them.

    Args:
        ids: (B, h, w) integer region of each pixel, negative for pixels in
            no region.

    Returns:
        (B, h, w) int64 label of the part of each pixel: the index of the
        first pixel of the part, counted row by row over the batch. It is -1
        for pixels in no region.

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
        # take the lowest label of the neighbours, then the label that the
        # pixel of this index has by now, which shortens long chains
        lower = parts.scatter_reduce(0, here, parts[there], 'amin')
        lower = lower[lower]
        if torch.equal(lower, parts):
            return parts.masked_fill(flat < 0, -1).view(ids.shape)
        parts = lower


def neighbor_pairs(ids: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the pairs of pixels that share a side, in both orders.

    Args:
        ids: (B, h, w) tensor; only its shape is used.

    Returns:
        Indices (N,) of the first and (N,) of the second pixels of the pairs,
        counted over the batch.
    """
    index = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
    first = torch.cat([index[:, :, :-1].flatten(), index[:, :-1].flatten()])
    second = torch.cat([index[:, :, 1:].flatten(), index[:, 1:].flatten()])
    return torch.cat([first, second]), torch.cat([second, first])


def check_ids(ids: Tensor) -> Tensor:
    """Check that ids are integers of shape (B, h, w) and return int64."""
    if ids.dim() != 3:
        raise ValueError('`ids` must have shape (B, h, w), got '
                         f'{tuple(ids.shape)}')
    return check_labels('ids', ids, ids.shape)


def _areas(ids: Tensor, num_regions: int) -> Tensor:
    """Return the number of pixels (B, K) of every region."""
    slots = ids.flatten(1)
    slots = slots.masked_fill(slots < 0, num_regions)
    areas = slots.new_zeros(len(ids), num_regions + 1)
    return areas.scatter_add_(1, slots, torch.ones_like(slots))[:, :-1]
