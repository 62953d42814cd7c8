"""The search of mean shift: rounds of seeds that move, then join.

Shapes: N pixels, D embedding dims, M seeds, K instances.
"""
import math
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_count, check_non_negative,
                                         check_positive)

from .meanshift_windows import (count_unowned, is_within, nearest_center,
                                sums_within)


class SearchRules(NamedTuple):
    """Arguments of :func:`seed_mean_shift` that all steps share."""

    bandwidth: float
    num_seeds: int
    num_iters: int
    tolerance: float
    min_pixels: int
    min_purity: float
    max_instances: Optional[int]
    max_failures: int

    def check(self) -> 'SearchRules':
        """Return the rules, or raise ValueError on a value out of range."""
        check_positive('bandwidth', self.bandwidth)
        check_count('num_seeds', self.num_seeds)
        check_count('num_iters', self.num_iters)
        check_non_negative('tolerance', self.tolerance)
        check_count('min_pixels', self.min_pixels)
        check_non_negative('min_purity', self.min_purity)
        if self.min_purity >= 1:
            raise ValueError('`min_purity` must be below 1, got '
                             f'{self.min_purity}; a share of 0.5 asks for '
                             'more than half of the pixels')
        if self.max_instances is not None:
            check_count('max_instances', self.max_instances)
        check_count('max_failures', self.max_failures)
        return self


class Work:
    """Counts how many pixels seeds have looked at.

    Args:
        max_visits: Pixels that they may look at; None: any number.
    """

    def __init__(self, max_visits: Optional[int]) -> None:
        self.left = math.inf if max_visits is None else max_visits

    @property
    def is_over(self) -> bool:
        """Whether it is time to stop."""
        return self.left <= 0

    def spend(self, num_seeds: int, num_pixels: int) -> None:
        """Count a step of some seeds over some pixels."""
        self.left -= num_seeds * num_pixels


def search_centers(points: Tensor, scores: Optional[Tensor],
                   rules: SearchRules, generator: Optional[torch.Generator],
                   work: Work) -> Tensor:
    """Return centres (K, D), round after round over what is left."""
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    centers = points[:0]
    free = points.new_ones(len(points), dtype=torch.bool)
    untried = free.clone()
    failures = 0
    while failures < rules.max_failures and not work.is_over and len(
            centers) != rules.max_instances:
        candidates = (free & untried).nonzero().flatten()
        rest = free.nonzero().flatten()
        if not len(candidates) or len(rest) < rules.min_pixels:
            break
        seeds = pick_seeds(candidates, scores, rules.num_seeds, generator)
        modes, ends = shift_seeds(points[rest], points[seeds], rules, work)
        # a seed may end where it is not itself within the bandwidth
        untried[seeds] = False
        untried[rest] &= ~is_within(points[rest], ends, rules.bandwidth)
        before, centers = centers, join_modes(
            centers, modes, points, rules, free)
        failures += 1
        work.spend(len(modes), len(points))
        if new := len(centers) - len(before):
            failures = 0
            # no pixel that is free lies within b of an earlier centre
            free[rest] = nearest_center(
                points[rest], centers[-new:], rules.bandwidth) == 0
            work.spend(new, len(rest))
    return centers


def pick_seeds(candidates: Tensor, scores: Optional[Tensor], num_seeds: int,
               generator: torch.Generator) -> Tensor:
    """Return at most `num_seeds` of the candidates."""
    count = len(candidates)
    if count <= num_seeds:
        return candidates
    if scores is None:
        drawn = torch.randint(
            count, (num_seeds, ), generator=generator, device=generator.device)
        return candidates[drawn.unique().to(candidates.device)]
    # runs rather than the highest of all, which may lie in one instance
    length = -(-count // num_seeds)
    num_runs = -(-count // length)
    runs = scores.new_full((num_runs * length, ), -torch.inf)
    runs[:count] = scores[candidates].nan_to_num(nan=-torch.inf)
    best = runs.view(num_runs, length).argmax(1)
    starts = torch.arange(num_runs, device=best.device) * length
    return candidates[best + starts]


def shift_seeds(points: Tensor, seeds: Tensor, rules: SearchRules,
                work: Work) -> Tuple[Tensor, Tensor]:
    """Shift seeds (M, D) to fixed points, or until the work is over.

    Returns:
        Those with enough pixels, most pixels first, and all (M, D).
    """
    centers = seeds.clone()
    support = centers.new_zeros(len(centers))
    moving = torch.arange(len(centers), device=centers.device)
    for _ in range(rules.num_iters):
        before = centers[moving]
        sums, counts = sums_within(points, before, rules.bandwidth)
        # a given seed may lie where nothing is
        means = torch.where(counts[:, None] > 0,
                            sums / counts.clamp(min=1)[:, None], before)
        centers[moving], support[moving] = means, counts
        work.spend(len(before), len(points))
        moving = moving[(means - before).norm(dim=1) > rules.tolerance]
        if not len(moving) or work.is_over:
            break
    order = support.argsort(descending=True, stable=True)
    order = order[support[order] >= rules.min_pixels]
    return centers[order], centers


def join_modes(centers: Tensor, modes: Tensor, points: Tensor,
               rules: SearchRules, free: Optional[Tensor] = None) -> Tensor:
    """Append modes, best first, that are new instances.

    Args:
        centers: (K, D) that have joined.
        modes: (M, D).
        points: (N, D).
        rules: Rules of the search.
        free: (N,) bool, pixels within b of no centre; None: found here.
    """
    if free is None:
        free = nearest_center(points, centers, rules.bandwidth) == 0
    modes = modes[~_are_near(modes, centers, rules.bandwidth).any(1)]
    modes = modes[are_distinct(modes, rules.bandwidth)]
    if not len(modes):
        return centers
    owned = sums_within(points[~free], modes, rules.bandwidth)[1]
    joined = modes.new_ones(len(modes), dtype=torch.bool)
    # Whether one joins depends on those before it alone: after n passes the
    # first n are right, and where nothing changes all are.
    while True:
        unowned, total = count_unowned(
            points[free], modes, joined, rules.bandwidth)
        fits = (unowned >= rules.min_pixels) & (
            unowned > rules.min_purity * (total + owned))
        before, joined = joined, fits
        if torch.equal(before, joined):
            return torch.cat([centers, modes[joined]])[:rules.max_instances]


def _are_near(first: Tensor, second: Tensor, bandwidth: float) -> Tensor:
    """Return which rows lie within b of each other, (M, K) bool."""
    return torch.cdist(
        first, second,
        compute_mode='donot_use_mm_for_euclid_dist') < bandwidth


def are_distinct(centers: Tensor, bandwidth: float) -> Tensor:
    """Return a mask (M,) of the centres to keep, in their order.

    True for a centre that lies at least `bandwidth` away from every centre
    kept before it.
    """
    earlier = _are_near(centers, centers, bandwidth).tril(-1)
    keep = earlier.new_ones(len(centers))
    while True:
        before, keep = keep, ~(earlier & keep).any(1)
        if torch.equal(before, keep):
            return keep
