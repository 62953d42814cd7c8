"""Resizing of region maps, and mean features of regions.

Shapes: B images, C channels, h w size of a grid, h2 w2 size of a new grid, K
regions of an image.

A region id lies in [0, K). Pixels with any other id, by convention -1, are
padding or in no region.
"""
from typing import NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_labels
from mmpixsort.functional.precision import autocast_off

TABLE_SIZE = 1 << 25  # maximum number of areas that are computed at once


class PooledRegions(NamedTuple):
    """Mean features of the regions of each image.

    Attributes:
        means: (B, K, C) mean features, zero for regions without area.
        valid: (B, K) bool mask of the regions with an area above zero.
    """

    means: Tensor
    valid: Tensor


class _Pieces(NamedTuple):
    """Pieces of one side of a map, cut at the pixel borders of both grids.

    Attributes:
        source: (n,) int64 pixel of the old grid that contains each piece.
        target: (n,) int64 pixel of the new grid that contains each piece.
        length: (n,) int64 length of each piece, in units of the side divided
            by (old * new), the product of the two numbers of pixels.
    """

    source: Tensor
    target: Tensor
    length: Tensor


@torch.no_grad()
def resize_ids(ids: Tensor, size: Sequence[int], num_regions: int) -> Tensor:
    """Resize region maps: each new pixel gets the region covering most of it.

    Areas are computed exactly, in integers, for any ratio of the sizes.
    Unlike max pooling of one-hot maps this does not dilate regions, and
    unlike nearest neighbour interpolation it uses every pixel.

    Args:
        ids: (B, h, w) integer region of each pixel; ids outside [0, K) mean
            that the pixel is in no region.
        size: h2 and w2 of the new grid.
        num_regions: K.

    Returns:
        (B, h2, w2) int64, -1 where more than half of the pixel is in no
        region. Among regions of equal area the lowest id is taken.

    Raises:
        TypeError: If ids or sizes are not integers.
        ValueError: If a shape is wrong or a size is below 1.

    Example:
        >>> ids = torch.tensor([[[0, 0, 1, 1, 1, -1]]])
        >>> resize_ids(ids, (1, 4), num_regions=2)
        tensor([[[ 0,  1,  1, -1]]])
    """
    ids = _check_ids(ids)
    check_count('num_regions', num_regions)
    if isinstance(size, int) or len(size) != 2:
        raise ValueError(f'`size` must be (height, width), got {size!r}')
    for side in size:
        check_count('size', side)
    ids = ids.masked_fill((ids < 0) | (ids >= num_regions), -1)
    ratios = [new // old for new, old in zip(size, ids.shape[1:])]
    if list(size) == [n * old for n, old in zip(ratios, ids.shape[1:])]:
        return ids.repeat_interleave(ratios[0], 1).repeat_interleave(
            ratios[1], 2)
    if all(ratios):
        return _largest_of_four(ids, tuple(size))
    return _largest(ids, tuple(size), num_regions)


def _largest_of_four(ids: Tensor, size: Tuple[int, int]) -> Tensor:
    """Resize region maps (B, h, w) to a finer grid.

    A new pixel overlaps at most two old pixels along each side, so comparing
    four ids is enough, and no table of all regions is needed.
    """
    rows, columns = (
        _halves(old, new, ids.device) for old, new in zip(ids.shape[1:], size))
    ids = ids.int()  # half the memory to move
    found = [ids[:, y][:, :, x] for y in rows.source for x in columns.source]
    areas = [(y[:, None] * x).int()
             for y in rows.length for x in columns.length]
    best, most = torch.full_like(found[0], -1), torch.zeros_like(found[0])
    for region in found:
        area = sum((other == region) * part
                   for other, part in zip(found, areas))
        better = (area > most) | ((area == most) & (region < best))
        better &= region >= 0
        best = torch.where(better, region, best)
        most = torch.where(better, area, most)
    none = sum((other < 0) * part for other, part in zip(found, areas))
    return best.long().masked_fill(2 * none > sum(areas), -1)


def _halves(old: int, new: int, device: torch.device) -> _Pieces:
    """Cut each pixel of a finer grid in two at the border of old pixels.

    The fields `source` and `length` have shape (2, new); the second half may
    have length zero.
    """
    target = torch.arange(new, device=device)
    start = target * old
    source = start // new
    length = (source * new + new - start).clamp(max=old)
    return _Pieces(
        torch.stack([source, (source + 1).clamp(max=old - 1)]), target,
        torch.stack([length, old - length]))


def _largest(ids: Tensor, size: Tuple[int, int], num_regions: int) -> Tensor:
    """Resize region maps (B, h, w) to any grid by a table of all areas."""
    rows, columns = (
        _cut(old, new, ids.device) for old, new in zip(ids.shape[1:], size))
    pieces = ids[:, rows.source][:, :, columns.source].flatten(1)
    cells = (rows.target[:, None] * size[1] + columns.target).flatten()
    areas = (rows.length[:, None] * columns.length).flatten()
    shape = len(ids), size[0] * size[1]
    best = ids.new_full(shape, -1)
    most, total = ids.new_zeros(shape), ids.new_zeros(shape)
    step = max(1, TABLE_SIZE // best.numel())
    for first in range(0, num_regions, step):
        count = min(step, num_regions - first)
        table = _table(pieces - first, cells, areas, shape, count)
        total += table.sum(2)
        # argmax takes the first of equal areas
        found = table.argmax(2, keepdim=True)
        area = table.gather(2, found)[..., 0]
        best = torch.where(area > most, found[..., 0] + first, best)
        most = torch.maximum(area, most)
    full = ids.shape[1] * ids.shape[2]
    return best.masked_fill(2 * total < full, -1).view(len(ids), *size)


def _table(pieces: Tensor, cells: Tensor, areas: Tensor,
           shape: Tuple[int, int], count: int) -> Tensor:
    """Return the area (B, h2 * w2, count) of every region in every pixel."""
    index = cells * count + pieces
    # an extra entry for regions outside [0, count)
    index = torch.where((pieces >= 0) & (pieces < count), index,
                        shape[1] * count)
    table = areas.new_zeros(shape[0], shape[1] * count + 1)
    table.scatter_add_(1, index, areas.expand_as(index))
    return table[:, :-1].view(*shape, count)


def _cut(old: int, new: int, device: torch.device) -> _Pieces:
    """Cut a side at the borders of `old` equal and of `new` equal pixels."""
    borders = torch.cat([
        torch.arange(old + 1, device=device) * new,
        torch.arange(new + 1, device=device) * old
    ]).sort().values
    start, length = borders[:-1], borders.diff()
    # Where borders of both grids coincide, a piece has length zero. The one
    # at the end of the side would lie in a pixel that does not exist.
    return _Pieces((start // new).clamp(max=old - 1),
                   (start // old).clamp(max=new - 1), length)


def pool_regions(features: Tensor,
                 ids: Tensor,
                 num_regions: int,
                 weights: Optional[Tensor] = None) -> PooledRegions:
    r"""Return the mean feature of every region.

    .. math::
        m_k = \frac{\sum_{i \in k} w_i f_i}{\sum_{i \in k} w_i}

    The features of pixels that are in no region or have the weight 0 do not
    matter; they may be NaN. The computation runs in float32, or in float64
    for float64 features, with autocast off.

    Args:
        features: (B, C, h, w) floating tensor.
        ids: (B, h, w) integer region of each pixel of the same grid; ids
            outside [0, K) mean that the pixel is in no region.
        num_regions: K.
        weights: (B, h, w) weight of each pixel, 0 or more, such as the
            fraction of a pixel that lies inside the image. None: 1.

    Returns:
        Means (B, K, C), which are zero for regions without area, and the
        mask (B, K) of the regions with an area above zero.

    Raises:
        TypeError: If `ids` are not integers.
        ValueError: If a shape is wrong.

    Example:
        >>> features = torch.tensor([1., 2., 5.]).view(1, 1, 1, 3)
        >>> means, valid = pool_regions(
        ...     features, torch.tensor([[[0, 0, 2]]]), num_regions=3)
        >>> means.flatten(), valid
        (tensor([1.5000, 0.0000, 5.0000]), tensor([[ True, False,  True]]))
    """
    ids = _check_pool(features, ids, weights)
    check_count('num_regions', num_regions)
    with autocast_off(features.device):
        rows = features.flatten(2).transpose(1, 2)
        if rows.dtype != torch.float64:
            rows = rows.float()
        ids = ids.flatten(1)
        counts = (ids >= 0) & (ids < num_regions)
        if weights is None:
            weights = rows.new_ones(ids.shape)
        else:
            weights = weights.flatten(1).to(rows.dtype)
            counts = counts & (weights > 0)
        weights = weights.masked_fill(~counts, 0.)
        rows = rows.masked_fill(~counts[..., None], 0.)
        regions = torch.arange(num_regions, device=ids.device)[:, None]
        member = (ids[:, None] == regions) * weights[:, None]
        total = member.sum(2)
        valid = total > 0
        sums = torch.bmm(member, rows)
        means = sums / total.masked_fill(~valid, 1.)[..., None]
    return PooledRegions(means, valid)


def _check_ids(ids: Tensor) -> Tensor:
    """Check the shape (B, h, w) of ids and return them as int64."""
    if ids.dim() != 3:
        raise ValueError('`ids` must have shape (B, h, w), got '
                         f'{tuple(ids.shape)}')
    return check_labels('ids', ids, ids.shape)


def _check_pool(features: Tensor, ids: Tensor,
                weights: Optional[Tensor]) -> Tensor:
    """Check all shapes and return ids as int64."""
    if features.dim() != 4 or not features.is_floating_point():
        raise ValueError(
            '`features` must be a floating tensor of shape (B, C, h, w), got '
            f'{features.dtype} of shape {tuple(features.shape)}')
    grid = (len(features), *features.shape[2:])
    ids = _check_ids(ids)
    if tuple(ids.shape) != grid:
        raise ValueError(f'`ids` must have shape {grid}, that of `features`, '
                         f'got {tuple(ids.shape)}; resize them with '
                         '`resize_ids`')
    if weights is not None and tuple(weights.shape) != grid:
        raise ValueError(f'`weights` must have shape {grid}, got '
                         f'{tuple(weights.shape)}')
    return ids
