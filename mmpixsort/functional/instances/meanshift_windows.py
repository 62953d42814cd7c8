"""Find and count the pixels within a bandwidth of centres, in chunks.

Shapes: N pixels, n pixels of a chunk, D embedding dims, M or K centres, b
bandwidth. All tensors are float32. Points must lie near zero, because squared
distances are computed from squared lengths, which are inexact far from zero.
"""
from typing import Iterator, Optional, Tuple

import torch
from torch import Tensor

# maximum number of similarities of one product: 16 MiB, and on a CPU 4 MiB,
# which stay in its cache
MAX_SIMILARITIES = 2**22
CPU_SIMILARITIES = 2**20


def _windows(points: Tensor, centers: Tensor,
             bandwidth: float) -> Iterator[Tuple[Tensor, Tensor]]:
    """Yield chunks of pixels (n, D) and masks of those within b of centres.

    A mask (M, n) is 1 if |x - c|^2 <= b^2, else 0. The condition is evaluated
    as c x - |x|^2 / 2 >= (|c|^2 - b^2) / 2. All masks use the same memory, so
    a mask is only valid until the next one.
    """
    limits = (centers.square().sum(1, keepdim=True) - bandwidth**2) / 2
    buffer = None
    for chunk in _chunks(points, len(centers)):
        halves = chunk.square().sum(1) / 2
        size = len(centers), len(chunk)
        if buffer is None:  # the first chunk is the largest
            buffer = points.new_empty(size).flatten()
        window = buffer[:size[0] * size[1]].view(size)
        torch.addmm(-halves, centers, chunk.T, out=window)
        yield chunk, window.ge_(limits)


def _chunks(points: Tensor, num_rows: int) -> Tuple[Tensor, ...]:
    limit = MAX_SIMILARITIES
    if points.device.type == 'cpu':
        limit = min(limit, CPU_SIMILARITIES)
    return points.split(max(1, limit // max(1, num_rows)))


def sums_within(points: Tensor, centers: Tensor,
                bandwidth: float) -> Tuple[Tensor, Tensor]:
    """Return the sum (M, D) and the number (M,) of pixels within b."""
    sums = torch.zeros_like(centers)
    counts = centers.new_zeros(len(centers))
    for chunk, window in _windows(points, centers, bandwidth):
        # four times as fast as `window @ chunk` on a CPU
        sums += (chunk.T @ window.T).T
        counts += window.sum(1)
    return sums, counts


def is_within(points: Tensor, centers: Tensor, bandwidth: float) -> Tensor:
    """Return a mask (N,) of the pixels within b of at least one centre."""
    return torch.cat([
        window.amax(0) > 0
        for _, window in _windows(points, centers, bandwidth)
    ])


def count_unowned(points: Tensor, centers: Tensor, joined: Tensor,
                  bandwidth: float) -> Tuple[Tensor, Tensor]:
    """Count the pixels within b of each centre, with and without owned ones.

    A centre that has joined owns the pixels within b of it that no earlier
    one owns.

    Args:
        points: (N, D) pixels.
        centers: (M, D) centres.
        joined: (M,) bool, True for centres that have joined.
        bandwidth: Bandwidth b.

    Returns:
        Number (M,) of pixels that no earlier centre owns, and number (M,) of
        all pixels.
    """
    # ranks fall from M to 1, so that a maximum finds the first owner; a rank
    # of 0 means that a pixel has no owner
    ranks = torch.arange(
        len(centers), 0, -1, device=points.device, dtype=points.dtype)
    owners, ranks = (ranks * joined)[:, None], ranks[:, None]
    unowned = points.new_zeros(len(centers))
    total = points.new_zeros(len(centers))
    for _, window in _windows(points, centers, bandwidth):
        first = (window * owners).amax(0)
        total += window.sum(1)
        unowned += window.mul_(first <= ranks).sum(1)
    return unowned, total


def nearest_center(points: Tensor, centers: Tensor,
                   max_distance: Optional[float]) -> Tensor:
    """Label every pixel with its nearest centre.

    It returns the same labels (N,) as
    :func:`mmpixsort.functional.instances.clusters.assign_nearest`, but needs
    float32 points near zero.
    """
    labels = points.new_zeros(len(points), dtype=torch.long)
    if not len(centers) or not len(points):
        return labels
    limit = torch.inf if max_distance is None else max_distance
    halves = centers.square().sum(1, keepdim=True) / 2
    # ranks fall from K to 1, so that a maximum finds the first of equals
    ranks = torch.arange(
        len(centers), 0, -1, device=points.device, dtype=points.dtype)
    start = 0
    for chunk in _chunks(points, len(centers)):
        # c x - |c|^2 / 2 = (|x|^2 - |x - c|^2) / 2
        closeness = torch.addmm(-halves, centers, chunk.T)
        # the search for the index of a maximum is slow on a CPU
        best = closeness.amax(0)
        least = (chunk.square().sum(1) - limit**2) / 2
        first = closeness.eq_(best).mul_(ranks[:, None]).amax(0)
        near = labels[start:start + len(chunk)]
        near.copy_(len(centers) + 1 - first)
        # the comparison with `<` would not catch NaN
        near.masked_fill_(~(best >= least), 0)
        start += len(chunk)
    return labels
