"""Context of instances: class histograms of their surroundings.

Shapes: n instances, H W size, C classes, Q queries, k neighbours.

Hwang et al., "Contextual Image Parsing via Panoptic Segment Sorting", MULL
2021, https://doi.org/10.1145/3476098.3485056, claim that retrieved instances
lie in a context similar to that of the query. Their formula is not public.
The measure here is our own, so its values are not comparable with theirs.
"""
from typing import Iterator, NamedTuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_count, check_labels,
                                         check_positive)

# maximum number of pixels of the windows that are dilated at once
MAX_PIXELS = 2**21


class _Windows(NamedTuple):
    """Windows of one size around some instances.

    Attributes:
        index: (m,) indices of the instances.
        rows: (m, h, 1) rows of the map in each window.
        columns: (m, 1, w) columns of the map in each window.
    """

    index: Tensor
    rows: Tensor
    columns: Tensor


@torch.no_grad()
def context_histograms(masks: Tensor, semantic: Tensor, num_classes: int,
                       rho: float) -> Tensor:
    r"""Return the class histogram of the ring around every instance.

    The ring holds the pixels of the image outside the mask at a distance of
    at most :math:`\rho \sqrt{area}` from it. It is computed exactly. The
    time is linear in the pixels of a window around the ring.

    Args:
        masks: (n, H, W) bool masks of the instances.
        semantic: (H, W) integer classes; pixels outside [0, C) are void and
            do not count.
        num_classes: Number of classes C.
        rho: Width of the ring relative to the square root of the area of
            the instance, above 0; typical values are 0.5, 1 and 2.

    Returns:
        (n, C) float32 histograms that sum to 1. An instance whose ring is
        empty or entirely void has no context: its row is 0.

    Raises:
        ValueError: If a shape is wrong or a value is out of range.
        TypeError: If `semantic` does not hold integers.

    Example:
        >>> semantic = torch.tensor([[2, 1, 0, 1, 255]])
        >>> masks = torch.tensor([[[0, 0, 1, 0, 0]]]).bool()
        >>> context_histograms(masks, semantic, 3, rho=2.)
        tensor([[0.0000, 0.6667, 0.3333]])
    """
    check_count('num_classes', num_classes)
    check_positive('rho', rho)
    _check_masks(masks, semantic)
    semantic = semantic.to(masks.device).long()
    is_class = (semantic >= 0) & (semantic < num_classes)
    semantic = semantic.masked_fill(~is_class, num_classes)
    counts = semantic.new_zeros(len(masks), num_classes + 1)
    if not masks.numel():
        return counts[:, :-1].float()
    squares = rho**2 * masks.sum((1, 2)).double()
    for index, rows, columns in _windows(masks, squares):
        inside = masks[index[:, None, None], rows, columns]
        ring = grow_masks(inside, squares[index]) & ~inside
        found = counts.new_zeros(len(index), num_classes + 1)
        found.scatter_add_(1, semantic[rows, columns].flatten(1),
                           ring.flatten(1).long())
        counts[index] = found
    counts = counts[:, :-1]
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def grow_masks(masks: Tensor, squared_radii: Tensor) -> Tensor:
    """Dilate every mask by a disc, with a separate radius for each mask.

    A pixel belongs to the result if its distance to a pixel of the mask is
    at most the radius r. The distance g to the mask within the column of
    each pixel is computed first. If the distance is at most r, the pixels of
    the same row up to sqrt(r^2 - g^2) away on either side belong to the
    result.

    Args:
        masks: (n, H, W) bool masks.
        squared_radii: (n,) squared radii in pixels, 0 or more.

    Returns:
        (n, H, W) bool dilated masks.

    Example:
        >>> mask = torch.tensor([[[0, 0, 1, 0, 0]]]).bool()
        >>> grow_masks(mask, torch.tensor([1.])).long()
        tensor([[[0, 1, 1, 1, 0]]])
    """
    if not masks.numel():
        return masks
    # float32 could round the root of an integer up to the next integer
    double = dict(dtype=torch.float64, device=masks.device)
    y = torch.arange(masks.shape[1], **double)[:, None]
    x = torch.arange(masks.shape[2], **double)
    above = torch.where(masks, y, -torch.inf).cummax(1).values
    below = _cummin_from_end(torch.where(masks, y, torch.inf), 1)
    gaps = torch.minimum(y - above, below - y)
    left = squared_radii.double()[:, None, None] - gaps.square_()
    reaches = left >= 0
    half = left.clamp_(min=0).sqrt_().floor_()
    ends = torch.where(reaches, x + half, -torch.inf).cummax(2).values
    starts = _cummin_from_end(torch.where(reaches, x - half, torch.inf), 2)
    return (ends >= x) | (starts <= x)


def _cummin_from_end(values: Tensor, dim: int) -> Tensor:
    return values.flip(dim).cummin(dim).values.flip(dim)


def _windows(masks: Tensor, squares: Tensor) -> Iterator[_Windows]:
    """Yield windows around all instances, grouped by similar window sizes.

    Windows save time because most instances are small. There are few groups,
    because sizes are grouped by powers of two.
    """
    # one pixel more than the radius, since the root may be rounded down
    margin = squares.sqrt().long() + 1
    top, height = _extent(masks.any(2), margin)
    start, width = _extent(masks.any(1), margin)
    scale = torch.maximum(height, width).double().log2().ceil().long()
    for value in scale.unique():
        group = (scale == value).nonzero().flatten()
        sides = torch.stack([height[group].amax(), width[group].amax()])
        h, w = sides.tolist()
        for index in group.split(max(1, MAX_PIXELS // (h * w))):
            yield _Windows(
                index, _span(top[index], h, masks.shape[1])[:, :, None],
                _span(start[index], w, masks.shape[2])[:, None])


def _extent(occupied: Tensor, margin: Tensor) -> tuple:
    """Return the span of the occupied places along a side, with a margin.

    Args:
        occupied: (n, L) bool, True for occupied places.
        margin: (n,) number of places to add on either side.

    Returns:
        First place (n,) and number of places (n,), cut at the ends.
    """
    length = occupied.shape[1]
    marks = occupied.byte()
    first = marks.argmax(1) - margin
    last = length - 1 - marks.flip(1).argmax(1) + margin
    first, last = first.clamp(min=0), last.clamp(max=length - 1)
    return first, last - first + 1


def _span(first: Tensor, count: int, length: int) -> Tensor:
    """Return `count` successive places (m, count) of a side of the map.

    They start at `first` (m,), or earlier if they would exceed `length`.
    """
    first = first.clamp(max=length - count)
    return first[:, None] + torch.arange(count, device=first.device)


def context_consistency(query_hist: Tensor, retrieved_hist: Tensor) -> Tensor:
    r"""Return how similar the contexts of queries and retrieved instances are.

    The similarity of two instances is the intersection of their histograms,
    :math:`\sum_c \min(h_{qc}, h_{rc})`. It is averaged over the retrieved
    instances of a query.

    Args:
        query_hist: (Q, C) histograms of the queries, as
            :func:`context_histograms` returns them.
        retrieved_hist: (Q, k, C) histograms of the retrieved instances.

    Returns:
        (Q,) similarities in [0, 1]. Retrieved instances without context (a
        histogram of zeros) are left out of the mean. The similarity is NaN if
        the query or all of its retrieved instances have no context.

    Raises:
        ValueError: If the shapes do not fit.

    Example:
        >>> query = torch.tensor([[.5, .5]])
        >>> found = torch.tensor([[[.5, .5], [1., 0.], [0., 0.]]])
        >>> context_consistency(query, found)
        tensor([0.7500])
    """
    if query_hist.dim() != 2 or retrieved_hist.dim() != 3 or (
            query_hist.shape != retrieved_hist.shape[::2]):
        raise ValueError(
            '`query_hist` and `retrieved_hist` must have shapes (Q, C) and '
            f'(Q, k, C), got {tuple(query_hist.shape)} and '
            f'{tuple(retrieved_hist.shape)}')
    shared = torch.minimum(query_hist[:, None], retrieved_hist).sum(2)
    measured = (retrieved_hist > 0).any(2) & (query_hist > 0).any(1)[:, None]
    return shared.masked_fill(~measured, 0).sum(1) / measured.sum(1)


def _check_masks(masks: Tensor, semantic: Tensor) -> None:
    if masks.dim() != 3 or masks.dtype != torch.bool:
        raise ValueError(
            '`masks` must be a bool tensor of shape (n, H, W), got '
            f'{masks.dtype} of shape {tuple(masks.shape)}; for an instance '
            'map, use `map == ids[:, None, None]`')
    check_labels('semantic', semantic, masks.shape[1:])
