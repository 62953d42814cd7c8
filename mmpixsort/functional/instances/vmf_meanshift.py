"""Find instances as the modes of a density on the unit sphere.

Shapes: N rows (pixels or segments), D embedding dims, M seeds, K modes.

Kobayashi and Otsu, "Von Mises-Fisher Mean Shift for Clustering on a
Hypersphere", ICPR 2010. The density is a mixture with one von Mises-Fisher
(vMF) component per row. The concentration kappa means the same as in segment
sorting (Hwang et al., "SegSort", ICCV 2019, https://arxiv.org/abs/1910.06962,
eq. 1).
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import (check_count, check_non_negative,
                                         check_points, check_positive)
from mmpixsort.functional.precision import autocast_off
from mmpixsort.functional.segments.graph import check_cosine

from .clusters import assign_nearest

# maximum number of similarities of one product, 16 MiB
MAX_SIMILARITIES = 2**22


class Modes(NamedTuple):
    """Modes of a density of rows, and the mode that each row belongs to.

    Attributes:
        labels: (N,) int64 mode of each row in [0, K); -1 for ignored rows.
        modes: (K, D) modes in the order of decreasing density, unit rows.
    """

    labels: Tensor
    modes: Tensor


@torch.no_grad()
def vmf_mean_shift(embeddings: Tensor,
                   *,
                   concentration: float,
                   merge_threshold: float,
                   seeds: Optional[Tensor] = None,
                   weights: Optional[Tensor] = None,
                   num_iters: int = 100,
                   tolerance: float = 1e-5) -> Modes:
    r"""Cluster unit rows by mean shift with von Mises-Fisher kernels.

    Every seed m climbs the density of the rows x_i with the step

    .. math::
        m \leftarrow \frac{s}{\|s\|}, \qquad
        s = \sum_i w_i \exp(\kappa (x_i \cdot m - 1)) x_i

    until it stops moving. The end points are then considered in the order of
    decreasing density. An end point is kept as a mode unless its cosine to a
    mode that was kept before exceeds `merge_threshold`. Every row belongs to
    its nearest mode, and modes without a row are dropped.

    A step takes O(M N D) operations and at most 2^22 similarities in memory;
    the selection of the modes takes M^2. The computation runs in float32, or
    in float64 for float64 embeddings, with autocast off. It waits for the
    device in every step. A row that is zero or not finite is ignored.

    Args:
        embeddings: (N, D) unit rows: pixels, or prototypes of segments.
        concentration: Concentration kappa, above 0. A larger one finds more
            modes.
        merge_threshold: Cosine in [-1, 1] above which two modes are merged.
        seeds: (M, D) unit rows to start from, such as the prototypes of
            segments when the rows are pixels. None starts from every row,
            which is meant for rows that are prototypes.
        weights: (N,) weights of the rows, 0 or more, such as the areas of
            segments. None gives all rows equal weights.
        num_iters: Maximum number of steps of a seed.
        tolerance: Length of a step, 0 or more, at which a seed stops.

    Returns:
        :class:`Modes` on the device of `embeddings`.

    Raises:
        ValueError: If a shape is wrong or a value is out of range.
        TypeError: If an option has a wrong type.

    Example:
        >>> embeddings = torch.tensor(
        ...     [[1., 0.], [0., 1.], [.96, .28], [.96, -.28]])
        >>> found = vmf_mean_shift(
        ...     embeddings, concentration=10., merge_threshold=.9)
        >>> found.labels
        tensor([0, 1, 0, 0])
    """
    check_positive('concentration', concentration)
    check_cosine('merge_threshold', merge_threshold)
    check_count('num_iters', num_iters)
    check_non_negative('tolerance', tolerance)
    _check_rows(embeddings, seeds, weights)
    with autocast_off(embeddings.device):
        if embeddings.dtype != torch.float64:
            embeddings = embeddings.float()
        seeds = embeddings if seeds is None else seeds.to(embeddings)
        takes_part = _is_direction(embeddings)
        points = embeddings[takes_part]
        if weights is None:
            weights = points.new_ones(len(embeddings))
        weights = weights.to(points)[takes_part]
        # points of weight 0 are removed: the logarithm of 0 is not finite
        cloud = points[weights > 0], weights[weights > 0].log()
        modes, density = _climb(cloud, seeds[_is_direction(seeds)],
                                concentration, num_iters, tolerance)
        modes = _distinct(modes, density, merge_threshold)
        labels, modes = _assign(points, modes)
    everywhere = labels.new_full((len(embeddings), ), -1)
    everywhere[takes_part] = labels
    return Modes(everywhere, modes)


@torch.no_grad()
def vmf_shift(embeddings: Tensor, log_weights: Tensor, modes: Tensor,
              concentration: float) -> Tuple[Tensor, Tensor]:
    """Move modes by one step of :func:`vmf_mean_shift`.

    Rows are processed in chunks. Kernels are divided by the largest one so
    far, so that they do not underflow even if a mode is far from all rows.

    Args:
        embeddings: (N, D) unit rows, at least one.
        log_weights: (N,) finite logarithms of the weights of the rows.
        modes: (M, D) unit rows to move.
        concentration: Concentration kappa, above 0.

    Returns:
        Moved modes (M, D), unit rows, and the logarithm (M,) of the density
        at `modes`, up to a constant.
    """
    sums = torch.zeros_like(modes)
    density = modes.new_zeros(len(modes))
    top = modes.new_full((len(modes), ), -torch.inf)
    size = max(1, MAX_SIMILARITIES // max(1, len(modes)))
    for chunk, log_weight in zip(
            embeddings.split(size), log_weights.split(size)):
        logits = torch.addmm(
            log_weight, modes, chunk.T, alpha=concentration)
        before, top = top, torch.maximum(top, logits.amax(1))
        kernel = logits.sub_(top[:, None]).exp_()
        shrink = (before - top).exp()
        sums = sums * shrink[:, None] + kernel @ chunk
        density = density * shrink + kernel.sum(1)
    # if opposite rows cancel each other, a mode stays where it is
    length = sums.norm(dim=1, keepdim=True)
    moves = length > 1e-6 * density[:, None]
    moved = torch.where(moves, sums / length.clamp(min=1e-30), modes)
    return moved, density.log() + top


def _climb(cloud: Tuple[Tensor, Tensor], seeds: Tensor, concentration: float,
           num_iters: int, tolerance: float) -> Tuple[Tensor, Tensor]:
    """Move seeds until they stop.

    Args:
        cloud: Rows (N, D) and the logarithms (N,) of their weights.
        seeds: (M, D) rows to start from.
        concentration: Concentration kappa.
        num_iters: Maximum number of steps of a seed.
        tolerance: Length of a step at which a seed stops.

    Returns:
        End points (M, D) and the logarithms (M,) of their densities.
    """
    modes = normalize(seeds, dim=1)
    if not len(cloud[0]) or not len(modes):
        return modes[:0], modes.new_zeros(0)
    moving = torch.arange(len(modes), device=modes.device)
    for _ in range(num_iters):
        before = modes[moving]
        after, _ = vmf_shift(*cloud, before, concentration)
        modes[moving] = after
        moving = moving[(after - before).norm(dim=1) > tolerance]
        if not len(moving):
            break
    return modes, vmf_shift(*cloud, modes, concentration)[1]


def _distinct(modes: Tensor, density: Tensor, threshold: float) -> Tensor:
    """Return the modes to keep in the order of decreasing density.

    A mode is kept unless its cosine to a mode that was kept before exceeds
    `threshold`.
    """
    ranked = modes[density.argsort(descending=True, stable=True)]
    earlier = (ranked @ ranked.T > threshold).tril(-1)
    keep = earlier.new_ones(len(ranked))
    # Whether a mode is kept depends only on those before it. After n passes
    # the first n decisions are final; once nothing changes, all are.
    while True:
        before, keep = keep, ~(earlier & keep).any(1)
        if torch.equal(before, keep):
            return ranked[keep]


def _assign(points: Tensor, modes: Tensor) -> Modes:
    """Label points with their nearest mode, and drop modes without points."""
    # the nearest of unit rows is the one with the largest cosine
    nearest = assign_nearest(points, modes) - 1
    if not len(modes):
        return Modes(nearest, modes)
    used, labels = nearest.unique(return_inverse=True)
    return Modes(labels, modes[used])


def _is_direction(rows: Tensor) -> Tensor:
    return rows.isfinite().all(1) & (rows != 0).any(1)


def _check_rows(embeddings: Tensor, seeds: Optional[Tensor],
                weights: Optional[Tensor]) -> None:
    check_points(embeddings, seeds)
    if weights is None:
        return
    if weights.shape != embeddings.shape[:1]:
        raise ValueError(f'`weights` must have shape ({len(embeddings)},), '
                         f'got {tuple(weights.shape)}')
    if not (weights.isfinite() & (weights >= 0)).all():
        raise ValueError('`weights` must be finite and not negative, got '
                         f'{weights.min().item()} to {weights.max().item()}')
