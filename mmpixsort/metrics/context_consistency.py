"""Score whether instances with similar embeddings have similar contexts.

Shapes: M instances, D embedding dims, C classes, k neighbours.

For every instance the k nearest instances of its class in other images are
retrieved, and the class histograms of their surroundings are compared
(:mod:`mmpixsort.functional.instances.context`). Contexts of one class are
similar anyway, as cars are on roads; the score to report is therefore the
gain over random instances of the class. Another embedding of the same
instances, such as the feature of a plain classifier, gives a second baseline:

.. code:: python

    ours = score_context(bank, num_neighbors=5)
    plain = score_context(bank._replace(embeddings=other), num_neighbors=5)
    relative_gain(ours.retrieved, plain.retrieved)
"""
from typing import Callable, Iterator, NamedTuple, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_labels
from mmpixsort.functional.instances.context import context_consistency
from mmpixsort.functional.segments.nearest import row_similarity

# number of values that are computed at once: 16 MiB of float32
MAX_PAIRS = 2**22


class InstanceBank(NamedTuple):
    """Instances of a data set, one per row.

    Attributes:
        embeddings: (M, D) floating embeddings.
        classes: (M,) integer class of each instance.
        image_ids: (M,) integer image of each instance.
        histograms: (M, C) floating rows of `context_histograms`, which sum
            to 1, or to 0 for an instance without context.
    """

    embeddings: Tensor
    classes: Tensor
    image_ids: Tensor
    histograms: Tensor


class ContextScores(NamedTuple):
    """Context consistency of retrieved and of random instances.

    All values but `num_queries` are NaN if there are no queries.

    Attributes:
        retrieved: Mean consistency with the k nearest instances, in [0, 1].
        expected: Exact expectation of the mean consistency with k random
            instances, in [0, 1].
        spread: Standard deviation of the mean consistency between draws of k
            random instances. A difference to `expected` that is not larger
            may be due to chance.
        gain: (retrieved - expected) / expected; 0.1 is ten percent.
        num_queries: Number of instances that have a context and at least one
            candidate with a context.
    """

    retrieved: float
    expected: float
    spread: float
    gain: float
    num_queries: int


@torch.no_grad()
def score_context(bank: InstanceBank,
                  *,
                  num_neighbors: int,
                  num_draws: int = 10,
                  seed: int = 0) -> ContextScores:
    """Score the contexts of retrieved and of random instances of a class.

    Candidates of a query are the instances of its class in other images.
    Instances without context are ignored, as queries and as candidates. A
    query with fewer than k candidates takes all of them.

    Args:
        bank: Instances; there are queries only if some class occurs in at
            least two images.
        num_neighbors: Number k of neighbours, 1 or more.
        num_draws: Number of draws of random instances from which the spread
            is computed, 2 or more.
        seed: Seed of the random draws.

    Returns:
        Scores of the embeddings and of the random baseline.

    Raises:
        TypeError: If classes or image ids are not integers.
        ValueError: If a shape is wrong or a number is out of range.

    Example:
        >>> bank = InstanceBank(
        ...     torch.tensor([[1., 0.], [0., 1.], [1., 0.], [0., 1.]]),
        ...     torch.zeros(4).long(), torch.arange(4),
        ...     torch.tensor([[1., 0.], [0., 1.], [1., 0.], [0., 1.]]))
        >>> scores = score_context(bank, num_neighbors=1)
        >>> scores.retrieved, round(scores.expected, 4), round(scores.gain, 4)
        (1.0, 0.3333, 2.0)
    """
    check_count('num_draws', num_draws, minimum=2)
    _check_bank(bank)
    has_context = (bank.histograms > 0).any(1)
    bank = InstanceBank(*(part[has_context] for part in bank))
    retrieved = _mean(
        consistency_of(bank, nearest_instances(bank, num_neighbors)))
    per_query = expected_consistency(bank)
    expected = _mean(per_query)
    draws = torch.tensor([
        _mean(
            consistency_of(bank,
                           random_instances(bank, num_neighbors, seed=draw)))
        for draw in range(seed * num_draws, (seed + 1) * num_draws)
    ], dtype=torch.float64)
    return ContextScores(retrieved, expected, draws.std().item(),
                         relative_gain(retrieved, expected),
                         int((~per_query.isnan()).sum()))


@torch.no_grad()
def nearest_instances(bank: InstanceBank, num_neighbors: int) -> Tensor:
    """Return the nearest instances of the same class in other images.

    Args:
        bank: Instances; their histograms are not used. Embeddings are
            compared by :func:`row_similarity`.
        num_neighbors: Number k of neighbours, 1 or more.

    Returns:
        (M, k) int64 rows of the bank, most similar first; -1 if there are
        fewer than k candidates.

    Example:
        >>> bank = InstanceBank(
        ...     torch.eye(2)[[0, 0, 1]], torch.zeros(3).long(),
        ...     torch.tensor([0, 0, 1]), torch.ones(3, 1))
        >>> nearest_instances(bank, 2).tolist()
        [[2, -1], [2, -1], [0, 1]]
    """
    rows = bank.embeddings.float()
    return _select(bank, num_neighbors,
                   lambda queries, keys: row_similarity(
                       rows[queries], rows[keys]))


def random_instances(bank: InstanceBank,
                     num_neighbors: int,
                     *,
                     seed: int = 0) -> Tensor:
    """Draw instances of the same class in other images, each at most once.

    Args:
        bank: Instances; their embeddings and histograms are not used.
        num_neighbors: Number k of neighbours, 1 or more.
        seed: Seed of the random draw, which is the same on every device.

    Returns:
        (M, k) int64 rows of the bank; -1 if there are fewer than k
        candidates.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(queries: Tensor, keys: Tensor) -> Tensor:
        drawn = torch.rand(len(queries), len(keys), generator=generator)
        return drawn.to(queries.device)

    return _select(bank, num_neighbors, noise)


def consistency_of(bank: InstanceBank, neighbors: Tensor) -> Tensor:
    """Return the context consistency of every instance with its neighbours.

    Args:
        bank: Instances.
        neighbors: (M, k) int64 rows of the bank; -1 for no neighbour.

    Returns:
        (M,) consistency in [0, 1]; NaN for an instance that has no context
        or no neighbour with a context.
    """
    hists = bank.histograms
    # the zero row at the end is the one that -1 selects
    padded = torch.cat([hists, torch.zeros_like(hists[:1])])
    if not len(hists):
        return hists.new_empty(0)
    size = max(1, MAX_PAIRS // max(1, neighbors.shape[1] * hists.shape[1]))
    return torch.cat([
        context_consistency(own, padded[found])
        for own, found in zip(hists.split(size), neighbors.split(size))
    ])


@torch.no_grad()
def expected_consistency(bank: InstanceBank) -> Tensor:
    """Return the expected context consistency with random instances.

    It is the mean over all instances of the same class in other images. It
    does not depend on the number of instances that are drawn.

    Args:
        bank: Instances; their embeddings are not used.

    Returns:
        (M,) consistency in [0, 1]; NaN for an instance that has no context
        or no candidate with a context.
    """
    hists = bank.histograms.float()
    has_context = (hists > 0).any(1)
    expected = hists.new_full((len(hists), ), torch.nan)
    for queries, keys, allowed in _candidates(bank):
        allowed = allowed & has_context[keys] & has_context[queries, None]
        # min(a, b) = (a + b - |a - b|) / 2, and both histograms sum to 1
        shared = 1 - torch.cdist(hists[queries], hists[keys], p=1) / 2
        expected[queries] = shared.masked_fill(
            ~allowed, 0).sum(1) / allowed.sum(1)
    return expected


def relative_gain(score: float, baseline: float) -> float:
    """Return (score - baseline) / baseline, or NaN for a baseline of 0.

    Example:
        >>> relative_gain(.75, .5)
        0.5
    """
    return (score - baseline) / baseline if baseline else float('nan')


def _candidates(
        bank: InstanceBank) -> Iterator[Tuple[Tensor, Tensor, Tensor]]:
    """Yield queries, the instances of their class, and the allowed pairs.

    Yields:
        (q,) rows of the queries, (n,) rows of all instances of their class,
        and (q, n) bool, True for instances of two images.
    """
    for class_id in bank.classes.unique():
        keys = (bank.classes == class_id).nonzero().flatten()
        for queries in keys.split(max(1, MAX_PAIRS // len(keys))):
            yield queries, keys, (bank.image_ids[queries, None] !=
                                  bank.image_ids[keys])


def _select(bank: InstanceBank, num_neighbors: int,
            score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the rows (M, k) of the candidates with the highest scores."""
    check_count('num_neighbors', num_neighbors)
    _check_bank(bank)
    table = bank.classes.new_full((len(bank.classes), num_neighbors),
                                  -1, dtype=torch.long)
    for queries, keys, allowed in _candidates(bank):
        scores = score(queries, keys).masked_fill(~allowed, -torch.inf)
        best, places = scores.topk(min(num_neighbors, len(keys)), 1)
        table[queries, :best.shape[1]] = keys[places].masked_fill(
            best == -torch.inf, -1)
    return table


def _mean(values: Tensor) -> float:
    return values.double().nanmean().item()


def _check_bank(bank: InstanceBank) -> None:
    for name in ('embeddings', 'histograms'):
        rows = getattr(bank, name)
        if rows.dim() != 2 or not rows.is_floating_point():
            raise ValueError(
                f'`{name}` must be a floating tensor of two dimensions, got '
                f'{rows.dtype} of shape {tuple(rows.shape)}')
    count = len(bank.embeddings)
    if len(bank.histograms) != count:
        raise ValueError('`histograms` must have a row for each of '
                         f'{count} embeddings, got {len(bank.histograms)}')
    check_labels('classes', bank.classes, (count, ))
    check_labels('image_ids', bank.image_ids, (count, ))
