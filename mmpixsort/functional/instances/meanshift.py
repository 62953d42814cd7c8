"""Find instances at test time by mean shift of pixel embeddings.

Shapes: N pixels, D embedding dims, M seeds, K instances.

De Brabandere et al., "Semantic Instance Segmentation with a Discriminative
Loss Function", 2017, https://arxiv.org/abs/1708.02551, section 2.3, use one
seed at a time. They take a pixel as centre, move the centre to the mean of the
pixels within a bandwidth until it stops, label these pixels, remove them and
repeat. Here M seeds move together, and seeds that end close to each other
become one instance.
"""
import warnings
from typing import Callable, Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_points)
from mmpixsort.functional.precision import autocast_off

from .clusters import Clusters, keep_large
from .meanshift_search import (SearchRules, Work, join_modes,
                               search_centers, shift_seeds)
from .meanshift_windows import nearest_center

REASSIGN = ('none', 'nearest')


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
    r"""Find instances by mean shift, without knowing their number.

    Every round draws M seeds among the pixels that belong to no instance yet
    and moves each of them by

    .. math::
        c \leftarrow \text{mean} \{x_i : \|x_i - c\| \le b,\;
        x_i \text{ of no instance}\}

    until it stops. The end points are then considered in the order of
    decreasing numbers of pixels within b. An end point becomes the centre of
    a new instance unless it lies closer than b to the centre of another
    instance, or too many of the pixels within b of it belong to other
    instances (`min_purity`). At the end every pixel is labelled with the
    nearest centre within b.

    A step takes O(M N D) operations and at most 2^22 similarities in memory.
    The computation runs in float32 with autocast off and waits for the
    device in every step. Embeddings without clusters, such as those of an
    untrained network, take many more steps than others; `max_visits` limits
    them. A pixel that is not finite belongs to no instance.

    Args:
        embeddings: (N, D) floating tensor; it is not normalised here.
        bandwidth: Bandwidth b, above 0. If the discriminative loss is zero,
            any b between 2 delta_var and 2 (delta_dist - delta_var) finds
            the exact instances; the authors' code uses delta_dist.
        seeds: (M, D) points to start from, such as centres that a network
            predicts. The search then has a single round with these seeds.
        scores: (N,) floating scores of the pixels. The pixels are split into
            `num_seeds` parts in their order, and the pixel with the highest
            score in each part is a seed. None draws the seeds at random.
        num_seeds: Number of seeds M of a round.
        num_iters: Maximum number of steps of a seed.
        tolerance: Length of a step, 0 or more, at which a seed stops.
        min_pixels: Minimum number of pixels of an instance.
        min_purity: Fraction in [0, 1). A new instance must own more than this
            fraction of the pixels within b of its centre.
        max_instances: Maximum number of instances K; None does not limit it.
        max_failures: Number of consecutive rounds without a new instance
            after which the search stops.
        reassign: Label of pixels farther than b from all centres: 'none'
            leaves 0, 'nearest' assigns the nearest centre.
        max_visits: Maximum number of visits, where each step of a seed counts
            as one visit to each of the pixels it is compared with. The
            search then stops with the instances found so far. None does not
            limit it. For separate clusters among outliers, an instance takes
            about 5 N visits. With `seeds`, only `num_iters` limits the
            search.
        report: Function that is called with a message if `max_visits` has
            stopped the search.
        generator: Random generator that draws the seeds; None draws the same
            seeds in every call.

    Returns:
        :class:`Clusters` on the device of `embeddings`.

    Raises:
        ValueError: If a shape is wrong or a value is out of range.
        TypeError: If an option has a wrong type.

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
    rules = SearchRules(
        bandwidth=bandwidth, num_seeds=num_seeds, num_iters=num_iters,
        tolerance=tolerance, min_pixels=min_pixels, min_purity=min_purity,
        max_instances=max_instances, max_failures=max_failures).check()
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
        # far from zero, squared lengths would be too large to resolve the
        # distances
        origin = points.mean(0)
        points = points - origin
        if seeds is not None:
            modes, _ = shift_seeds(
                points, seeds.to(points) - origin, rules, Work(None))
            centers = join_modes(modes[:0], modes, points, rules)
        else:
            scores = None if scores is None else scores[kept]
            work = Work(max_visits)
            centers = search_centers(points, scores, rules, generator, work)
            if work.is_over:
                report(_what_was_cut(points, centers, rules, max_visits))
        found = _label(points, centers, rules, reassign)
    labels[kept] = found.labels
    return Clusters(labels, found.centers + origin)


def _check_rows(embeddings: Tensor, seeds: Optional[Tensor],
                scores: Optional[Tensor]) -> None:
    check_points(embeddings, seeds)
    if scores is None:
        return
    if seeds is not None:
        raise ValueError('`scores` must be None when `seeds` are given, got '
                         'both; scores only choose seeds among the pixels')
    if not scores.is_floating_point() or scores.shape != embeddings.shape[:1]:
        raise ValueError(
            '`scores` must be a floating tensor of shape '
            f'({len(embeddings)},), got {scores.dtype} of shape '
            f'{tuple(scores.shape)}')


def _label(points: Tensor, centers: Tensor, rules: SearchRules,
           reassign: str) -> Clusters:
    """Label the pixels with the centres that have at least `min_pixels`."""
    labels = nearest_center(points, centers, rules.bandwidth)
    centers = keep_large(
        Clusters(labels, centers), min_pixels=rules.min_pixels).centers
    limit = rules.bandwidth if reassign == 'none' else None
    return keep_large(
        Clusters(nearest_center(points, centers, limit), centers))


def _what_was_cut(points: Tensor, centers: Tensor, rules: SearchRules,
                  max_visits: int) -> str:
    """Return the warning about a search that `max_visits` has stopped."""
    free = (nearest_center(points, centers, rules.bandwidth) == 0).sum()
    return (f'mean shift stopped at `max_visits` {max_visits} with '
            f'{len(centers)} instances; {int(free)} of {len(points)} pixels '
            'belong to none, and not all of them were searched. The '
            'embeddings hardly form clusters of radius '
            f'{rules.bandwidth}, like those of an untrained network; raise '
            '`max_visits` to continue the search')
