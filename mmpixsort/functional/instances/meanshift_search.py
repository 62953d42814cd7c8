"""Search for the centres of instances in rounds of mean shift.

In each round seeds move until they stop. Their end points, called modes, then
become the centres of new instances where they fit.

Shapes: N pixels, D embedding dims, M seeds or modes, K instances, b bandwidth.
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
    """Arguments of :func:`seed_mean_shift` that all functions here share."""

    bandwidth: float
    num_seeds: int
    num_iters: int
    tolerance: float
    min_pixels: int
    min_purity: float
    max_instances: Optional[int]
    max_failures: int

    def check(self) -> 'SearchRules':
        """Return the rules, or raise an error for a value out of range."""
        check_positive('bandwidth', self.bandwidth)
        check_count('num_seeds', self.num_seeds)
        check_count('num_iters', self.num_iters)
        check_non_negative('tolerance', self.tolerance)
        check_count('min_pixels', self.min_pixels)
        check_non_negative('min_purity', self.min_purity)
        if self.min_purity >= 1:
            raise ValueError('`min_purity` must be below 1, got '
                             f'{self.min_purity}; with 0.5 a new instance '
                             'must own more than half of the pixels')
        if self.max_instances is not None:
            check_count('max_instances', self.max_instances)
        check_count('max_failures', self.max_failures)
        return self


class Work:
    """Count how many pixels the seeds have visited.

    Args:
        max_visits: Maximum number of visits; None does not limit it.
    """

    def __init__(self, max_visits: Optional[int]) -> None:
        self.left = math.inf if max_visits is None else max_visits

    @property
    def is_over(self) -> bool:
        """Whether the maximum number of visits is reached."""
        return self.left <= 0

    def spend(self, num_seeds: int, num_pixels: int) -> None:
        """Count a step in which each seed visits each of the pixels."""
        self.left -= num_seeds * num_pixels


def search_centers(points: Tensor, scores: Optional[Tensor],
                   rules: SearchRules, generator: Optional[torch.Generator],
                   work: Work) -> Tensor:
    """Find the centres of instances in rounds over the remaining pixels.

    Args:
        points: (N, D) pixels.
        scores: (N,) scores by which seeds are chosen; None draws them.
        rules: Rules of the search.
        generator: Random generator that draws the seeds; None draws the same
            seeds in every call.
        work: Counter of the visits, which stops the search.

    Returns:
        (K, D) centres.
    """
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
        # the seed itself may lie farther than b from its end point
        untried[seeds] = False
        untried[rest] &= ~is_within(points[rest], ends, rules.bandwidth)
        before, centers = centers, join_modes(
            centers, modes, points, rules, free)
        failures += 1
        work.spend(len(modes), len(points))
        if new := len(centers) - len(before):
            failures = 0
            # no free pixel lies within b of an earlier centre
            free[rest] = nearest_center(
                points[rest], centers[-new:], rules.bandwidth) == 0
            work.spend(new, len(rest))
    return centers


def pick_seeds(candidates: Tensor, scores: Optional[Tensor], num_seeds: int,
               generator: torch.Generator) -> Tensor:
    """Choose seeds among the candidates, at random or by their scores.

    Args:
        candidates: (n,) indices of pixels.
        scores: (N,) scores of all pixels. The candidates are split into runs
            in their order, and the best of each run is chosen. None draws
            the seeds at random.
        num_seeds: Maximum number of seeds.
        generator: Random generator.

    Returns:
        At most `num_seeds` indices of pixels; all candidates if these are
        not more.
    """
    count = len(candidates)
    if count <= num_seeds:
        return candidates
    if scores is None:
        drawn = torch.randint(
            count, (num_seeds, ), generator=generator, device=generator.device)
        return candidates[drawn.unique().to(candidates.device)]
    # the highest scores of all candidates might lie in one instance
    length = -(-count // num_seeds)
    num_runs = -(-count // length)
    runs = scores.new_full((num_runs * length, ), -torch.inf)
    runs[:count] = scores[candidates].nan_to_num(nan=-torch.inf)
    best = runs.view(num_runs, length).argmax(1)
    starts = torch.arange(num_runs, device=best.device) * length
    return candidates[best + starts]


def shift_seeds(points: Tensor, seeds: Tensor, rules: SearchRules,
                work: Work) -> Tuple[Tensor, Tensor]:
    """Shift seeds until they stop.

    Args:
        points: (N, D) pixels.
        seeds: (M, D) points to start from.
        rules: Rules of the search.
        work: Counter of the visits, which stops the shifts.

    Returns:
        The end points with at least `min_pixels` pixels within b, in the
        order of decreasing numbers of pixels; and all end points (M, D).
    """
    centers = seeds.clone()
    support = centers.new_zeros(len(centers))
    moving = torch.arange(len(centers), device=centers.device)
    for _ in range(rules.num_iters):
        before = centers[moving]
        sums, counts = sums_within(points, before, rules.bandwidth)
        # there may be no pixel near a seed that the caller has given
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
    """Append the modes that are centres of new instances to the centres.

    Args:
        centers: (K, D) centres found so far.
        modes: (M, D) modes, in the order of decreasing numbers of pixels.
        points: (N, D) pixels.
        rules: Rules of the search.
        free: (N,) bool, True for pixels farther than b from all centres.
            None computes it.

    Returns:
        All centres, at most `max_instances`.
    """
    if free is None:
        free = nearest_center(points, centers, rules.bandwidth) == 0
    modes = modes[~_are_near(modes, centers, rules.bandwidth).any(1)]
    modes = modes[are_distinct(modes, rules.bandwidth)]
    if not len(modes):
        return centers
    owned = sums_within(points[~free], modes, rules.bandwidth)[1]
    joined = modes.new_ones(len(modes), dtype=torch.bool)
    # Whether a mode joins depends only on those before it. After n passes the
    # first n decisions are final; once nothing changes, all are.
    while True:
        unowned, total = count_unowned(
            points[free], modes, joined, rules.bandwidth)
        fits = (unowned >= rules.min_pixels) & (
            unowned > rules.min_purity * (total + owned))
        before, joined = joined, fits
        if torch.equal(before, joined):
            return torch.cat([centers, modes[joined]])[:rules.max_instances]


def _are_near(first: Tensor, second: Tensor, bandwidth: float) -> Tensor:
    """Return a mask (M, K) of the pairs of rows that are closer than b."""
    return torch.cdist(
        first, second,
        compute_mode='donot_use_mm_for_euclid_dist') < bandwidth


def are_distinct(centers: Tensor, bandwidth: float) -> Tensor:
    """Return a mask (M,) of the centres to keep.

    It is True for a centre at a distance of at least `bandwidth` from every
    centre that is kept before it.
    """
    earlier = _are_near(centers, centers, bandwidth).tril(-1)
    keep = earlier.new_ones(len(centers))
    while True:
        before, keep = keep, ~(earlier & keep).any(1)
        if torch.equal(before, keep):
            return keep
