"""Which pixels lie within a bandwidth of which centres, piece by piece.

Shapes: N pixels, D embedding dims, M centres, K instances. All points lie
near zero and are float32.
"""
from typing import Iterator, Optional, Tuple

import torch
from torch import Tensor

# Rows times pixels of one product: 16 MiB
MAX_SIMILARITIES = 2**22


def _windows(points: Tensor, centers: Tensor,
             bandwidth: float) -> Iterator[Tuple[Tensor, Tensor]]:
    """Yield pixels (n, D), and which lie within b of a centre (M, n), 0 or 1.

    |x - c|^2 <= b^2 as c x - |x|^2 / 2 >= (|c|^2 - b^2) / 2.
    """
    limits = (centers.square().sum(1, keepdim=True) - bandwidth**2) / 2
    for chunk in _chunks(points, len(centers)):
        halves = chunk.square().sum(1) / 2
        yield chunk, torch.addmm(-halves, centers, chunk.T).ge_(limits)


def _chunks(points: Tensor, num_rows: int) -> Tuple[Tensor, ...]:
    return points.split(max(1, MAX_SIMILARITIES // max(1, num_rows)))


def sums_within(points: Tensor, centers: Tensor,
                bandwidth: float) -> Tuple[Tensor, Tensor]:
    """Return sums (M, D) and counts (M,) of the pixels within b."""
    sums = torch.zeros_like(centers)
    counts = centers.new_zeros(len(centers))
    for chunk, window in _windows(points, centers, bandwidth):
        # four times as fast on a CPU as `window @ chunk`
        sums += (chunk.T @ window.T).T
        counts += window.sum(1)
    return sums, counts


def is_within(points: Tensor, centers: Tensor, bandwidth: float) -> Tensor:
    """Return which pixels (N,) lie within b of any centre."""
    return torch.cat([
        window.amax(0) > 0
        for _, window in _windows(points, centers, bandwidth)
    ])


def count_unowned(points: Tensor, centers: Tensor, joined: Tensor,
                  bandwidth: float) -> Tuple[Tensor, Tensor]:
    """Count pixels within b of each centre: in no earlier joined one, all."""
    # M to 1, so that the first owner is the largest; 0: no owner
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
    """Return the number (N,) of the nearest centre, from 1 on; 0: none.

    As :func:`mmpixsort.functional.instances.clusters.assign_nearest`, for
    points that lie near zero and are float32.
    """
    labels = points.new_zeros(len(points), dtype=torch.long)
    if not len(centers) or not len(points):
        return labels
    limit = torch.inf if max_distance is None else max_distance
    halves = centers.square().sum(1, keepdim=True) / 2
    # K to 1, so that the first of equals is the largest
    ranks = torch.arange(
        len(centers), 0, -1, device=points.device, dtype=points.dtype)
    start = 0
    for chunk in _chunks(points, len(centers)):
        # c x - |c|^2 / 2, which |x|^2 / 2 exceeds by half the squared distance
        closeness = torch.addmm(-halves, centers, chunk.T)
        # maxima of values: a search for the index is slow on a CPU
        best = closeness.amax(0)
        least = (chunk.square().sum(1) - limit**2) / 2
        first = closeness.eq_(best).mul_(ranks[:, None]).amax(0)
        near = labels[start:start + len(chunk)]
        near.copy_(len(centers) + 1 - first)
        # not `<`: of NaN too
        near.masked_fill_(~(best >= least), 0)
        start += len(chunk)
    return labels
