"""Spherical k-means of the pixels of embedding maps.

Shapes: B images, D embedding dims, H W size, N = H * W pixels, K clusters.

Hwang et al., "SegSort: Segmentation by Discriminative Sorting of Segments",
ICCV 2019, https://arxiv.org/abs/1910.06962, section 3.1: hard expectation
maximisation of a mixture of von Mises-Fisher distributions of one
concentration.
"""
import math
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_labels, check_mask,
                                         check_non_negative)
from mmpixsort.functional.precision import autocast_off

FRAMES = ('centered', 'unit', 'none')
CPU_ELEMENTS = 1 << 18  # similarities of a tile on a CPU: 1 MB of float32


def grid_labels(size: Sequence[int],
                grid: Sequence[int],
                device: Optional[torch.device] = None) -> Tensor:
    """Label the pixels of a map by the cells of a grid, column by column.

    The centres of the outer cells lie on the border of the map, so those
    cells have half the size of the others, as in the authors' released code
    of SPML. The row of a cell is round((K - 1) * y / (H - 1)), where K is
    the number of cells along y and halves are rounded to even numbers.

    Args:
        size: H and W in pixels.
        grid: Number of cells along y and along x; at most H and W.
        device: Device of the result.

    Returns:
        (H, W) int64 in [0, Ky * Kx), where Ky and Kx are the two numbers of
        cells.

    Raises:
        ValueError: If the grid has more cells than the map has pixels along
            a side.

    Example:
        >>> grid_labels((1, 6), (1, 3))
        tensor([[0, 0, 1, 1, 2, 2]])
    """
    check_grid(grid)
    rows, columns = (
        _cells(length, count, device) for length, count in zip(size, grid))
    return rows[:, None] + grid[0] * columns


def _cells(length: int, count: int,
           device: Optional[torch.device]) -> Tensor:
    if count > length:
        raise ValueError(
            f'`grid` must have at most as many cells as the map has pixels, '
            f'got {count} cells along {length} pixels; use a smaller `grid` '
            'or a larger map')
    # float32 as in the released code, because rounding decides ties
    steps = torch.linspace(0, count - 1, length, device=device)
    return steps.round_().long()


def check_grid(grid: Sequence[int]) -> None:
    """Raise unless `grid` holds two integers of 1 or more."""
    if isinstance(grid, int) or len(grid) != 2:
        raise ValueError(f'`grid` must be (cells along y, cells along x), '
                         f'got {grid!r}')
    for count in grid:
        check_count('grid', count)


def pixel_locations(size: Sequence[int],
                    *,
                    frame: str = 'centered',
                    device: Optional[torch.device] = None) -> Tensor:
    """Return the coordinates y and x of every pixel of a map.

    Args:
        size: H and W in pixels.
        frame: Range of the coordinates along each side: 'centered' is
            [-0.5, 0.5] (SPML), 'unit' is [0, 1] (SegSort).
        device: Device of the result.

    Returns:
        (2, H, W) float32. Along a side of one pixel, the coordinate is the
        start of the range.

    Raises:
        ValueError: If `frame` is neither 'centered' nor 'unit'.

    Example:
        >>> pixel_locations((1, 3))[1]
        tensor([[-0.5000,  0.0000,  0.5000]])
    """
    check_choice('frame', frame, FRAMES[:2])
    start = -0.5 if frame == 'centered' else 0.
    y, x = (
        torch.linspace(0, 1, length, device=device) + start
        for length in size)
    return torch.stack(torch.meshgrid(y, x, indexing='ij'))


@torch.no_grad()
def locate(embeddings: Tensor,
           *,
           frame: str = 'centered',
           weight: float = 1.,
           locations: Optional[Tensor] = None) -> Tensor:
    """Append pixel locations to embeddings and normalise the result.

    u = normalise([normalise(v); weight * l]) for an embedding v and its
    location l. Clusters of u are coherent regions rather than scattered
    pixels. The result has no gradient, because cluster assignments are
    constants for the losses.

    Args:
        embeddings: (B, D, H, W) floating tensor.
        frame: Range of the locations: 'centered' or 'unit', as in
            :func:`pixel_locations`; 'none' appends no location.
        weight: Weight of the location, 0 or more.
        locations: (B, 2, H, W) locations to use in place of `frame`, such as
            the locations in the original image.

    Returns:
        (B, D + 2, H, W) unit vectors over the channels; (B, D, H, W)
        without locations.

    Raises:
        ValueError: If `frame` is unknown or `weight` is negative.
    """
    check_choice('frame', frame, FRAMES)
    check_non_negative('weight', weight)
    # All results are written into one buffer with the channels last. On a
    # CPU, norms along strided channels take ten times as long, and so would
    # the allocation of more maps of this size.
    batch, dims, *size = embeddings.shape
    extra = 0 if locations is None and frame == 'none' else 2
    points = embeddings.new_empty(batch, *size, dims + extra)
    unit, place = points.split([dims, extra], dim=3)
    unit.copy_(embeddings.permute(0, 2, 3, 1))
    _normalize_(unit)
    if extra:
        if locations is None:
            locations = pixel_locations(
                size, frame=frame, device=points.device)[None]
        place.copy_(locations.permute(0, 2, 3, 1)).mul_(weight)
        _normalize_(points)
    return points.permute(0, 3, 1, 2)


def _normalize_(rows: Tensor) -> None:
    """Give rows (..., D) unit length in place, also those of a view."""
    rows.div_(rows.norm(dim=-1, keepdim=True).clamp_(min=1e-12))


@torch.no_grad()
def spherical_kmeans(
    embeddings: Tensor,
    *,
    num_iters: int,
    grid: Optional[Sequence[int]] = None,
    initial_labels: Optional[Tensor] = None,
    num_clusters: Optional[int] = None,
    valid: Optional[Tensor] = None,
    frame: str = 'centered',
    location_weight: float = 1.,
    locations: Optional[Tensor] = None,
    stop_early: bool = False,
) -> Tensor:
    r"""Cluster the pixels of every image by spherical k-means.

    From the initial clusters :math:`z`, it repeats

    .. math::
        m_k = \frac{\sum_{z_i = k} u_i}{\|\sum_{z_i = k} u_i\|}, \qquad
        z_i = \arg\max_k u_i \cdot m_k

    where u are the embeddings with their locations, as :func:`locate`
    returns them. An empty cluster has the prototype 0 and therefore the
    similarity 0. All images are clustered at once, except on a CPU, so that
    the number of device calls does not depend on B. The computation runs in
    float32, or in float64 for float64 embeddings, with autocast off.

    Args:
        embeddings: (B, D, H, W) floating tensor; it is normalised here.
        num_iters: Number of iterations, 0 or more.
        grid: Number of cells along y and along x of the grid of initial
            clusters. Either this or `initial_labels` must be given.
        initial_labels: (B, H, W) integer initial cluster of each pixel in
            [0, K); pixels with a negative number are ignored.
        num_clusters: K; it must be given with `initial_labels`.
        valid: (B, H, W) bool mask of the pixels to cluster, such as those
            that are neither ignored nor padding; None takes all pixels.
        frame: Range of the locations: 'centered', 'unit' or 'none'; see
            :func:`locate`.
        location_weight: Factor of the locations, 0 or more.
        locations: (B, 2, H, W) locations to use in place of `frame`.
        stop_early: Whether to stop as soon as no label changes, with the
            same result. This waits for the device in every iteration, so it
            is meant for inference.

    Returns:
        (B, H, W) int64 cluster of each pixel in [0, K), -1 for ignored
        pixels.

    Raises:
        ValueError: If a shape is wrong, the grid has more cells than the
            map has pixels along a side, or neither or both of `grid` and
            `initial_labels` are given.
        TypeError: If `initial_labels` are not integers or `valid` is not
            bool.

    Example:
        >>> embeddings = torch.tensor([1., 1., -1., -1.]).view(1, 1, 1, 4)
        >>> start = torch.tensor([[[0, 0, 0, 1]]])
        >>> spherical_kmeans(embeddings, num_iters=3, initial_labels=start,
        ...                  num_clusters=2, frame='none')
        tensor([[[0, 0, 1, 1]]])
    """
    check_count('num_iters', num_iters, minimum=0)
    check_map(embeddings)
    labels, num_clusters = _start(embeddings, grid, initial_labels,
                                  num_clusters)
    ignored = None if initial_labels is None else labels < 0
    if valid is not None:
        check_mask('valid', valid, labels.shape)
        ignored = ~valid if ignored is None else ignored | ~valid
    with autocast_off(embeddings.device):
        if embeddings.dtype != torch.float64:
            embeddings = embeddings.float()
        points = locate(
            embeddings,
            frame=frame,
            weight=location_weight,
            locations=locations).flatten(2)
        rows = points.transpose(1, 2).contiguous()
        found = labels.flatten(1)
        if ignored is not None:
            # NaN in a padded pixel times zero is NaN
            rows.masked_fill_(ignored.flatten(1)[..., None], 0.)
            found = found.masked_fill(ignored.flatten(1), 0)
        found = _iterate(rows, found, num_clusters, num_iters, stop_early)
    found = found.view(labels.shape)
    return found if ignored is None else found.masked_fill(ignored, -1)


def check_map(embeddings: Tensor) -> None:
    """Raise unless `embeddings` is (B, D, H, W) floating."""
    if embeddings.dim() != 4 or not embeddings.is_floating_point():
        raise ValueError(
            '`embeddings` must be a floating tensor of shape (B, D, H, W), '
            f'got {embeddings.dtype} of shape {tuple(embeddings.shape)}')


def _start(embeddings: Tensor, grid: Optional[Sequence[int]],
           initial_labels: Optional[Tensor],
           num_clusters: Optional[int]) -> Tuple[Tensor, int]:
    """Return the initial clusters (B, H, W) and K."""
    if (grid is None) == (initial_labels is None):
        raise ValueError('one of `grid` and `initial_labels` must be given, '
                         f'got {grid} and {type(initial_labels).__name__}')
    batch, _, *size = embeddings.shape
    if grid is not None:
        labels = grid_labels(size, grid, embeddings.device)
        return labels.expand(batch, -1, -1), grid[0] * grid[1]
    initial_labels = check_labels(
        'initial_labels', initial_labels, (batch, *size))
    if num_clusters is None:
        raise ValueError('`num_clusters` must be given with '
                         '`initial_labels`, got None; it is the number of '
                         'labels')
    check_count('num_clusters', num_clusters)
    return initial_labels, num_clusters


def _iterate(rows: Tensor, labels: Tensor, num_clusters: int, num_iters: int,
             stop_early: bool) -> Tensor:
    """Run k-means on unit rows (B, N, D) from labels (B, N) in [0, K)."""
    images, tile = len(rows), max(rows.shape[1], 1)
    if rows.device.type == 'cpu':
        # The similarities of a tile stay in the cache. Small images share a
        # tile, and a large image is cut; matrix products are fastest if the
        # size of a tile is a power of two.
        limit = max(1, CPU_ELEMENTS // num_clusters)
        images = max(1, limit // tile)
        tile = min(tile, 1 << (limit.bit_length() - 1))
    batches = zip(rows.split(max(images, 1)), labels.split(max(images, 1)))
    found = [
        _iterate_batch(*batch, num_clusters, num_iters, stop_early, tile)
        for batch in batches
    ]
    return torch.cat(found) if found else labels


def _iterate_batch(rows: Tensor, labels: Tensor, num_clusters: int,
                   num_iters: int, stop_early: bool, tile: int) -> Tensor:
    """Run k-means on images together, `tile` pixels of each at a time."""
    batch, _, dims = rows.shape
    first = torch.arange(
        0, batch * num_clusters, num_clusters, device=labels.device)
    sums = rows.new_empty(batch * num_clusters, dims)
    # K, ..., 1, so that the first of equal clusters has the largest rank
    ranks = torch.arange(
        num_clusters, 0, -1, device=rows.device, dtype=rows.dtype)[:, None]
    # new memory in every tile would cost as much as the product
    buffer = rows.new_empty(batch * num_clusters * min(tile, rows.shape[1]))
    for _ in range(num_iters):
        segments = (labels + first[:, None]).flatten()
        sums.zero_().index_add_(0, segments, rows.flatten(0, 1))
        prototypes = normalize(sums, dim=1).view(batch, -1, dims)
        best = torch.cat([
            _best_rank_(_similarity(prototypes, part, buffer), ranks)
            for part in rows.split(tile, 1)
        ], 1)
        previous = labels
        labels = (num_clusters - best.long()).clamp_(max=num_clusters - 1)
        if stop_early and torch.equal(previous, labels):
            break
    return labels


def _similarity(prototypes: Tensor, rows: Tensor, buffer: Tensor) -> Tensor:
    """Return similarities (B, K, n) of prototypes (B, K, D), rows (B, n, D).

    The result is written into `buffer`, which must be large enough.
    """
    batch, num_clusters, _ = prototypes.shape
    shape = batch, num_clusters, rows.shape[1]
    result = buffer[:math.prod(shape)].view(shape)
    if batch == 1:  # a product of matrices is faster than a batched one
        torch.mm(prototypes[0], rows[0].T, out=result[0])
        return result
    return torch.bmm(prototypes, rows.transpose(1, 2), out=result)


def _best_rank_(similarity: Tensor, ranks: Tensor) -> Tensor:
    """Return the rank (B, n) of the first largest value over K.

    It uses maxima of values only, which are vectorised over pixels: a search
    for the index takes a CPU six times as long. The rank of NaN is 0.

    Args:
        similarity: (B, K, n) similarities, which are overwritten.
        ranks: (K, 1) ranks: K for the first cluster, 1 for the last.
    """
    is_best = similarity.eq_(similarity.amax(1, keepdim=True))
    return is_best.mul_(ranks).amax(1)
