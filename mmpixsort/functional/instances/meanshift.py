"""Mean shift of embeddings from many seeds at once: instances at test time.

Shapes: N pixels, D embedding dims, M seeds, K instances.

De Brabandere et al., "Semantic Instance Segmentation with a Discriminative
Loss Function", 2017, https://arxiv.org/abs/1708.02551: threshold around a
pixel, move to the mean of what was found until it stays, label, remove and
repeat. The paper takes one seed at a time; here M seeds move together, and
those that meet are one instance.
"""
import math
import warnings
from typing import Callable, Iterator, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative, check_points,
                                         check_positive)
from mmpixsort.functional.precision import autocast_off

REASSIGN = ('none', 'nearest')
# Rows times pixels of one product: 16 MiB
MAX_SIMILARITIES = 2**22


class Clusters(NamedTuple):
    """A partition of pixels.

    Attributes:
        labels: (N,) int64, 1 to K by decreasing size, 0: none.
        centers: (K, D) float32, of instance k at row k - 1.
    """

    labels: Tensor
    centers: Tensor


class _Rules(NamedTuple):
    """Arguments of :func:`seed_mean_shift` that all steps share."""

    bandwidth: float
    num_seeds: int
    num_iters: int
    tolerance: float
    min_pixels: int
    min_purity: float
    max_instances: Optional[int]
    max_failures: int


class _Work:
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


@torch.no_grad()
def seed_mean_shift(embeddings: Tensor,
                    *,
                    bandwidth: float,
                    seeds: Optional[Tensor] = None,
                    scores: Optional[Tensor] = None,
                    num_seeds: int = 128,
                    num_iters: int = 100,
                    tolerance: float = 1e-4,
                    min_pixels: int = 1,
                    min_purity: float = .5,
                    max_instances: Optional[int] = None,
                    max_failures: int = 5,
                    reassign: str = 'none',
                    max_visits: Optional[int] = None,
                    report: Callable[[str], None] = warnings.warn,
                    generator: Optional[torch.Generator] = None) -> Clusters:
    r"""Find instances as modes of the density, without their number.

    Every round moves M seeds, pixels of no instance yet, by

    .. math::
        c \leftarrow \text{mean} \{x_i : \|x_i - c\| \le b,\;
        x_i \text{ of no instance}\}

    to a fixed point. Centres then join, most pixels first, unless they lie
    closer than b to one that has joined, or those that have joined own most
    of the pixels within b already. At the end every pixel belongs to its
    nearest centre within b.

    In O(M N D) a step, with at most 2^22 similarities in memory; in
    float32, autocast off. Embeddings without clumps, of a network that has
    not learned yet, take many times the steps of others: see `max_visits`.
    It waits for the device in every step. A pixel that is not finite belongs
    to no instance.

    Args:
        embeddings: (N, D), not normalised.
        bandwidth: b, above 0. After the discriminative loss any b between 2
            delta_var and 2 (delta_dist - delta_var) is exact; the code of
            the authors takes delta_dist.
        seeds: (M, D) places to start from, centres that a network predicts,
            say; one round, no further seeds.
        scores: (N,) floating: a seed is the pixel of highest score in each
            of `num_seeds` runs of pixels; None: a random draw.
        num_seeds: M, of a round.
        num_iters: Steps of a seed at most.
        tolerance: Step length at which a seed stands, 0 or more.
        min_pixels: Fewest pixels of an instance.
        min_purity: In [0, 1); an instance joins when more than this share of
            its pixels is not owned.
        max_instances: K at most; None: any.
        max_failures: Rounds in a row without a new instance, then it stops.
        reassign: Pixels of no instance: 'none': stay 0; 'nearest': go to the
            nearest centre.
        max_visits: Pixels that all seeds together look at, in all steps,
            before it stops with what it has; None: any number. In clumps
            that lie apart, among outliers, an instance takes about 5 N.
            With `seeds` there is no bound but `num_iters`.
        report: Called with a sentence when `max_visits` stopped it.
        generator: Random generator that draws the seeds; None: always the same
            draw.

    Returns:
        :class:`Clusters`, on the device of `embeddings`.

    Raises:
        TypeError, ValueError: On wrong shapes or values out of range.

    Example:
        >>> embeddings = torch.tensor([[0.], [5.], [.2], [.1], [5.2]])
        >>> labels, centers = seed_mean_shift(embeddings, bandwidth=1.5)
        >>> labels
        tensor([1, 2, 1, 1, 2])
        >>> centers
        tensor([[0.1000],
                [5.1000]])
    """
    check_choice('reassign', reassign, REASSIGN)
    rules = _Rules(bandwidth, num_seeds, num_iters, tolerance, min_pixels,
                   min_purity, max_instances, max_failures)
    _check_rules(rules)
    if max_visits is not None:
        check_count('max_visits', max_visits)
    _check_rows(embeddings, seeds, scores)
    labels = embeddings.new_zeros(len(embeddings), dtype=torch.long)
    kept = embeddings.isfinite().all(1).nonzero().flatten()
    if not len(kept):
        return Clusters(labels,
                        embeddings.new_empty(0, embeddings.shape[1]).float())
    with autocast_off(embeddings.device):
        points = embeddings[kept].float()
        # squared lengths far from zero would swallow the distances
        origin = points.mean(0)
        points = points - origin
        if seeds is not None:
            modes, _ = _modes(
                points, seeds.to(points) - origin, rules, _Work(None))
            centers = _join(modes[:0], modes, points, rules)
        else:
            scores = None if scores is None else scores[kept]
            work = _Work(max_visits)
            centers = _search(points, scores, rules, generator, work)
            if work.is_over:
                report(_what_was_cut(points, centers, rules, max_visits))
        found = _label(points, centers, rules, reassign)
    labels[kept] = found.labels
    return Clusters(labels, found.centers + origin)


@torch.no_grad()
def assign_nearest(embeddings: Tensor,
                   centers: Tensor,
                   *,
                   max_distance: Optional[float] = None) -> Tensor:
    """Label every pixel with its nearest centre.

    Args:
        embeddings: (N, D).
        centers: (K, D).
        max_distance: Pixels farther from all centres get 0; None: no limit.

    Returns:
        (N,) int64, 1 to K; 0 where no centre is near enough or K is 0.

    Example:
        >>> centers = torch.tensor([[0.], [5.]])
        >>> assign_nearest(
        ...     torch.tensor([[4.], [1.], [9.]]), centers, max_distance=2.)
        tensor([2, 1, 0])
    """
    with autocast_off(embeddings.device):
        centers = centers.float()
        origin = centers.mean(0) if len(centers) else 0.
        return _nearest(embeddings.float() - origin, centers - origin,
                        max_distance)


def keep_large(clusters: Clusters, *, min_pixels: int = 1) -> Clusters:
    """Drop small instances and number the others by decreasing size.

    Args:
        clusters: With labels in [0, K].
        min_pixels: Instances with fewer get the label 0.

    Returns:
        Of equal sizes, the one with the first pixel comes first: the numbers
        depend on the partition alone.

    Example:
        >>> labels = torch.tensor([1, 2, 2, 3, 0, 3, 3])
        >>> keep_large(Clusters(labels, torch.eye(3)), min_pixels=2).labels
        tensor([0, 2, 2, 1, 0, 1, 1])
    """
    labels, centers = clusters
    count = len(centers) + 1
    sizes = labels.bincount(minlength=count)[1:]
    places = torch.arange(len(labels), device=labels.device)
    first = places.new_full((count, ), len(labels)).scatter_reduce(
        0, labels, places, 'amin')[1:]
    order = first.argsort()
    order = order[sizes[order].argsort(descending=True, stable=True)]
    order = order[sizes[order] >= min_pixels]
    new = labels.new_zeros(count)
    new[order + 1] = torch.arange(1, len(order) + 1, device=labels.device)
    return Clusters(new[labels], centers[order])


def _what_was_cut(points: Tensor, centers: Tensor, rules: _Rules,
                  max_visits: int) -> str:
    """Return a sentence about a search that ended early."""
    free = (_nearest(points, centers, rules.bandwidth) == 0).sum()
    return (f'mean shift stopped at `max_visits` {max_visits} with '
            f'{len(centers)} instances; {int(free)} of {len(points)} pixels '
            'are in none, and were not all looked at: the embeddings have '
            f'few clumps of radius {rules.bandwidth}, as those of a network '
            'that has not learned yet; raise `max_visits` to search on')


def _search(points: Tensor, scores: Optional[Tensor], rules: _Rules,
            generator: Optional[torch.Generator], work: _Work) -> Tensor:
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
        seeds = _pick(candidates, scores, rules.num_seeds, generator)
        modes, ends = _modes(points[rest], points[seeds], rules, work)
        # a seed may end where it is not itself within the bandwidth
        untried[seeds] = False
        untried[rest] &= ~_is_within(points[rest], ends, rules.bandwidth)
        before, centers = centers, _join(
            centers, modes, points, rules, free)
        failures += 1
        work.spend(len(modes), len(points))
        if new := len(centers) - len(before):
            failures = 0
            # no pixel that is free lies within b of an earlier centre
            free[rest] = _nearest(
                points[rest], centers[-new:], rules.bandwidth) == 0
            work.spend(new, len(rest))
    return centers


def _pick(candidates: Tensor, scores: Optional[Tensor], num_seeds: int,
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


def _modes(points: Tensor, seeds: Tensor, rules: _Rules,
           work: _Work) -> Tuple[Tensor, Tensor]:
    """Shift seeds (M, D) to fixed points, or until the work is over.

    Returns:
        Those with enough pixels, most pixels first, and all (M, D).
    """
    centers = seeds.clone()
    support = centers.new_zeros(len(centers))
    moving = torch.arange(len(centers), device=centers.device)
    for _ in range(rules.num_iters):
        before = centers[moving]
        sums, counts = _sums_within(points, before, rules.bandwidth)
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


def _join(centers: Tensor, modes: Tensor, points: Tensor, rules: _Rules,
          free: Optional[Tensor] = None) -> Tensor:
    """Append modes, best first, that are new instances.

    Args:
        centers: (K, D) that have joined.
        modes: (M, D).
        points: (N, D).
        rules: Rules of the search.
        free: (N,) bool, pixels within b of no centre; None: found here.
    """
    if free is None:
        free = _nearest(points, centers, rules.bandwidth) == 0
    modes = modes[~_are_near(modes, centers, rules.bandwidth).any(1)]
    modes = modes[_distinct(modes, rules.bandwidth)]
    if not len(modes):
        return centers
    owned = _sums_within(points[~free], modes, rules.bandwidth)[1]
    joined = modes.new_ones(len(modes), dtype=torch.bool)
    # Whether one joins depends on those before it alone: after n passes the
    # first n are right, and where nothing changes all are.
    while True:
        unowned, total = _unowned(
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


def _distinct(centers: Tensor, bandwidth: float) -> Tensor:
    """Return which centres (M,) lie off all earlier ones of the kind."""
    earlier = _are_near(centers, centers, bandwidth).tril(-1)
    keep = earlier.new_ones(len(centers))
    while True:
        before, keep = keep, ~(earlier & keep).any(1)
        if torch.equal(before, keep):
            return keep


def _label(points: Tensor, centers: Tensor, rules: _Rules,
           reassign: str) -> Clusters:
    """Partition the pixels among the centres that get enough."""
    labels = _nearest(points, centers, rules.bandwidth)
    centers = keep_large(
        Clusters(labels, centers), min_pixels=rules.min_pixels).centers
    limit = rules.bandwidth if reassign == 'none' else None
    return keep_large(Clusters(_nearest(points, centers, limit), centers))


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


def _sums_within(points: Tensor, centers: Tensor,
                 bandwidth: float) -> Tuple[Tensor, Tensor]:
    """Return sums (M, D) and counts (M,) of the pixels within b."""
    sums = torch.zeros_like(centers)
    counts = centers.new_zeros(len(centers))
    for chunk, window in _windows(points, centers, bandwidth):
        # four times as fast on a CPU as `window @ chunk`
        sums += (chunk.T @ window.T).T
        counts += window.sum(1)
    return sums, counts


def _is_within(points: Tensor, centers: Tensor, bandwidth: float) -> Tensor:
    """Return which pixels (N,) lie within b of any centre."""
    return torch.cat([
        window.amax(0) > 0
        for _, window in _windows(points, centers, bandwidth)
    ])


def _unowned(points: Tensor, centers: Tensor, joined: Tensor,
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


def _nearest(points: Tensor, centers: Tensor,
             max_distance: Optional[float]) -> Tensor:
    """See :func:`assign_nearest`; everything near zero and float32."""
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


def _check_rules(rules: _Rules) -> None:
    check_positive('bandwidth', rules.bandwidth)
    check_count('num_seeds', rules.num_seeds)
    check_count('num_iters', rules.num_iters)
    check_non_negative('tolerance', rules.tolerance)
    check_count('min_pixels', rules.min_pixels)
    check_non_negative('min_purity', rules.min_purity)
    if rules.min_purity >= 1:
        raise ValueError('`min_purity` must be below 1, got '
                         f'{rules.min_purity}; a share of 0.5 asks for '
                         'more than half of the pixels')
    if rules.max_instances is not None:
        check_count('max_instances', rules.max_instances)
    check_count('max_failures', rules.max_failures)


def _check_rows(embeddings: Tensor, seeds: Optional[Tensor],
                scores: Optional[Tensor]) -> None:
    check_points(embeddings, seeds)
    if scores is None:
        return
    if seeds is not None:
        raise ValueError('`scores` must be None where `seeds` are given, '
                         'which are taken as they are')
    if not scores.is_floating_point() or scores.shape != embeddings.shape[:1]:
        raise ValueError(
            '`scores` must be a floating tensor of shape '
            f'({len(embeddings)},), got {scores.dtype} of shape '
            f'{tuple(scores.shape)}')
