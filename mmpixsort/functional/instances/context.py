"""What lies around instances: histograms of classes, and how alike they are.

Shapes: n instances, H W size, C classes, Q queries, k neighbours.

A measure of ours for the claim of Hwang et al., "Contextual Image Parsing
via Panoptic Segment Sorting", MULL 2021,
https://doi.org/10.1145/3476098.3485056, that retrieved instances lie in a
context like that of the query. The formula of the authors is not public:
numbers are not comparable with theirs.
"""
from typing import Iterator, NamedTuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_count, check_labels,
                                         check_positive)

# Pixels of the windows that are grown at once
MAX_PIXELS = 2**21


class _Windows(NamedTuple):
    """Some instances, each in a window of one size.

    Attributes:
        index: (m,) which instances.
        rows: (m, h, 1) of the map.
        columns: (m, 1, w) of the map.
    """

    index: Tensor
    rows: Tensor
    columns: Tensor


@torch.no_grad()
def context_histograms(masks: Tensor, semantic: Tensor, num_classes: int,
                       rho: float) -> Tensor:
    r"""Return the class histogram of the ring around every instance.

    The ring is what a disc of radius :math:`\rho \sqrt{area}` reaches from
    the mask, without the mask, inside the image. Exact, and linear in the
    pixels of a window around the ring whatever the radius.

    Args:
        masks: (n, H, W) bool.
        semantic: (H, W) integer; outside [0, C) a pixel is void.
        num_classes: C.
        rho: Above 0; 0.5, 1 or 2, say.

    Returns:
        (n, C) float32 rows that sum to 1; 0 throughout where an instance has
        no context: its ring is empty or void throughout.

    Raises:
        TypeError, ValueError: On wrong shapes or values out of range.

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
    """Dilate every mask by a disc of its own.

    A pixel belongs to the result when its squared distance to one of the
    mask is at most the squared radius. By columns first, then by rows: a
    pixel whose column reaches the mask after g pixels covers sqrt(r^2 - g^2)
    pixels on either side.

    Args:
        masks: (n, H, W) bool.
        squared_radii: (n,) in pixels, 0 or more.

    Returns:
        (n, H, W) bool.

    Example:
        >>> mask = torch.tensor([[[0, 0, 1, 0, 0]]]).bool()
        >>> grow_masks(mask, torch.tensor([1.])).long()
        tensor([[[0, 1, 1, 1, 0]]])
    """
    if not masks.numel():
        return masks
    # float32 rounds roots of whole numbers near the next one
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
    """Yield all instances, those with windows of like size together.

    In windows rather than the map, as most instances are small; never in
    more groups than there are powers of two up to the side of the map.
    """
    # one pixel more than the radius: a root may be rounded down
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
    """Return the first of the places (n, L) to look at, and how many."""
    length = occupied.shape[1]
    marks = occupied.byte()
    first = marks.argmax(1) - margin
    last = length - 1 - marks.flip(1).argmax(1) + margin
    first, last = first.clamp(min=0), last.clamp(max=length - 1)
    return first, last - first + 1


def _span(first: Tensor, count: int, length: int) -> Tensor:
    """Return places (m, count) from the first, inside the map."""
    first = first.clamp(max=length - count)
    return first[:, None] + torch.arange(count, device=first.device)


def context_consistency(query_hist: Tensor, retrieved_hist: Tensor) -> Tensor:
    r"""Return how alike the contexts of queries and of what they found are.

    The mean over what was found of :math:`\sum_c \min(h_{qc}, h_{rc})`, the
    intersection of histograms, in [0, 1].

    Args:
        query_hist: (Q, C) of :func:`context_histograms`.
        retrieved_hist: (Q, k, C).

    Returns:
        (Q,). What has no context, a row of 0, is left out of the mean; NaN
        where the query has none, or nothing that was found has any.

    Raises:
        ValueError: On other shapes.

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
            f'{masks.dtype} of shape {tuple(masks.shape)}; an instance map '
            'becomes masks by `map == ids[:, None, None]`')
    check_labels('semantic', semantic, masks.shape[1:])
