"""`metrics.context_consistency` against loops and by hand."""
import math
import statistics

import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.metrics import context_consistency as module
from mmpixsort.metrics.context_consistency import (InstanceBank,
                                                   consistency_of,
                                                   expected_consistency,
                                                   nearest_instances,
                                                   random_instances,
                                                   relative_gain,
                                                   score_context)


def random_bank(seed, count=40, dims=6, num_images=7, num_things=3):
    """Return instances of a few images, a tenth without context."""
    g = torch.Generator().manual_seed(seed)
    hists = (2 * torch.randn(count, 5, generator=g)).softmax(1)
    hists[torch.rand(count, generator=g) < .1] = 0
    return InstanceBank(
        normalize(torch.randn(count, dims, generator=g), dim=1),
        torch.randint(num_things, (count, ), generator=g),
        torch.randint(num_images, (count, ), generator=g), hists)


def candidates(bank, i):
    return [j for j in range(len(bank.classes))
            if bank.classes[j] == bank.classes[i]
            and bank.image_ids[j] != bank.image_ids[i]]


def intersection(bank, i, j):
    return sum(min(a, b) for a, b in zip(bank.histograms[i].tolist(),
                                         bank.histograms[j].tolist()))


def scores_loop(bank, num_neighbors):
    """Means over queries: retrieved, expected; and how many queries."""
    measured = [i for i in range(len(bank.classes))
                if bank.histograms[i].sum() > 0]
    retrieved, expected = [], []
    for i in measured:
        others = [j for j in candidates(bank, i) if j in measured]
        others.sort(key=lambda j: -float(
            bank.embeddings[i] @ bank.embeddings[j]))
        shared = [intersection(bank, i, j) for j in others]
        if shared:
            retrieved.append(statistics.mean(shared[:num_neighbors]))
            expected.append(statistics.mean(shared))
    return statistics.mean(retrieved), statistics.mean(expected), len(
        expected)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('num_neighbors', [1, 3, 50])
def test_score_context__equals_loop(seed, num_neighbors):
    bank = random_bank(seed)
    scores = score_context(bank, num_neighbors=num_neighbors)
    retrieved, expected, num_queries = scores_loop(bank, num_neighbors)
    assert scores.retrieved == pytest.approx(retrieved, abs=1e-5)
    assert scores.expected == pytest.approx(expected, abs=1e-5)
    assert scores.gain == pytest.approx(retrieved / expected - 1, abs=1e-4)
    assert scores.num_queries == num_queries


def test_score_context__all_candidates_are_the_expectation():
    scores = score_context(random_bank(0), num_neighbors=100)
    assert scores.retrieved == pytest.approx(scores.expected, abs=1e-6)
    assert scores.gain == pytest.approx(0, abs=1e-5)
    assert scores.spread == pytest.approx(0, abs=1e-6)


def test_score_context__embedding_that_knows_the_context():
    bank = random_bank(1, count=200)
    knows = bank._replace(embeddings=normalize(bank.histograms, dim=1))
    blind, ours = (score_context(b, num_neighbors=3) for b in (bank, knows))
    assert blind.expected == ours.expected
    assert abs(blind.retrieved - blind.expected) < 5 * blind.spread
    assert ours.gain > .3 and ours.retrieved > ours.expected + 9 * ours.spread
    assert relative_gain(ours.retrieved, blind.retrieved) > .3


def test_score_context__draws_scatter_around_the_expectation():
    bank = random_bank(2)
    options = dict(num_neighbors=2, num_draws=200)
    scores = score_context(bank, **options)
    assert score_context(bank, **options) == scores
    draws = [
        consistency_of(bank, random_instances(bank, 2, seed=i))
        for i in range(200)
    ]
    draws = torch.stack(draws)
    # a draw of an instance without context is none: fewer in the mean, and
    # some queries have none at all, so compare those that always have
    always = ~draws.isnan().any(0)
    means = draws[:, always].mean(0)
    want = expected_consistency(bank)[always]
    assert (means - want).abs().max() < .1
    assert abs(float((means - want).mean())) < .01
    other = score_context(bank, **options, seed=1)
    assert other.expected == scores.expected
    assert other.spread != scores.spread
    assert other.spread == pytest.approx(scores.spread, rel=.3)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('num_neighbors', [1, 4, 30])
def test_nearest_instances__equals_loop(seed, num_neighbors):
    bank = random_bank(seed)
    found = nearest_instances(bank, num_neighbors)
    for i, row in enumerate(found.tolist()):
        others = candidates(bank, i)
        others.sort(key=lambda j: -float(
            bank.embeddings[i] @ bank.embeddings[j]))
        want = (others + [-1] * num_neighbors)[:num_neighbors]
        assert row == want


def test_random_instances__are_candidates_and_differ():
    bank = random_bank(3)
    drawn = random_instances(bank, 5, seed=1)
    assert torch.equal(drawn, random_instances(bank, 5, seed=1))
    assert not torch.equal(drawn, random_instances(bank, 5, seed=2))
    for i, row in enumerate(drawn.tolist()):
        others = candidates(bank, i)
        real = [j for j in row if j >= 0]
        assert len(set(real)) == len(real) == min(5, len(others))
        assert set(real) <= set(others)


def test_random_instances__every_candidate_alike():
    bank = random_bank(4, count=12, num_images=6, num_things=1)
    counts = torch.zeros(12, 12)
    for seed in range(600):
        counts[torch.arange(12), random_instances(bank, 1, seed=seed)[:, 0]
               ] += 1
    for i in range(12):
        others = candidates(bank, i)
        share = counts[i] / 600
        assert share[others].sum() == pytest.approx(1)
        assert (share[others] - 1 / len(others)).abs().max() < .07


def test_expected_consistency__equals_loop():
    bank = random_bank(5)
    expected = expected_consistency(bank)
    for i, value in enumerate(expected.tolist()):
        shared = [intersection(bank, i, j) for j in candidates(bank, i)
                  if bank.histograms[j].sum() > 0]
        if not shared or bank.histograms[i].sum() == 0:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(statistics.mean(shared), abs=1e-5)


def test_consistency_of__none_and_no_context():
    hists = torch.tensor([[1., 0.], [.5, .5], [0., 0.]])
    bank = InstanceBank(torch.eye(3), torch.zeros(3).long(),
                        torch.arange(3), hists)
    neighbors = torch.tensor([[1, -1, 2], [-1, -1, 2], [0, 1, -1]])
    scores = consistency_of(bank, neighbors)
    assert scores[0] == .5 and scores[1:].isnan().all()


def test_score_context__chunks_do_not_matter(monkeypatch):
    bank = random_bank(6)
    whole = score_context(bank, num_neighbors=2)
    monkeypatch.setattr(module, 'MAX_PAIRS', 30)
    parts = score_context(bank, num_neighbors=2)
    assert parts.retrieved == pytest.approx(whole.retrieved, abs=1e-6)
    assert parts.expected == pytest.approx(whole.expected, abs=1e-6)
    assert parts.spread == pytest.approx(whole.spread, abs=1e-6)


@pytest.mark.parametrize('bank', [
    InstanceBank(torch.empty(0, 3), torch.empty(0).long(),
                 torch.empty(0).long(), torch.empty(0, 2)),
    InstanceBank(torch.eye(3), torch.arange(3), torch.arange(3),
                 torch.ones(3, 1)),
    InstanceBank(torch.eye(3), torch.zeros(3).long(), torch.zeros(3).long(),
                 torch.ones(3, 1)),
    InstanceBank(torch.eye(3), torch.zeros(3).long(), torch.arange(3),
                 torch.zeros(3, 1)),
], ids=['empty', 'one of a class', 'one image', 'no context'])
def test_score_context__no_query(bank):
    scores = score_context(bank, num_neighbors=2)
    assert scores.num_queries == 0
    assert all(math.isnan(value) for value in scores[:4])


def test_relative_gain__by_hand():
    assert relative_gain(.6, .5) == pytest.approx(.2)
    assert math.isnan(relative_gain(.6, 0.))
    assert math.isnan(relative_gain(.6, math.nan))


@pytest.mark.parametrize('changes, kind, error', [
    (dict(embeddings=torch.eye(3).long()), ValueError, '`embeddings` must'),
    (dict(histograms=torch.ones(3)), ValueError, '`histograms` must be a'),
    (dict(histograms=torch.ones(2, 1)), ValueError,
     '`histograms` must have a row for each of 3 embeddings, got 2'),
    (dict(classes=torch.ones(3)), TypeError, '`classes` must be integers'),
    (dict(image_ids=torch.ones(2).long()), ValueError, '`image_ids` must'),
])
def test_score_context__bad_bank(changes, kind, error):
    bank = InstanceBank(torch.eye(3), torch.zeros(3).long(),
                        torch.arange(3), torch.ones(3, 1))
    with pytest.raises(kind, match=error):
        score_context(bank._replace(**changes), num_neighbors=1)


@pytest.mark.parametrize('changes, error', [
    (dict(num_neighbors=0), '`num_neighbors` must be at least 1'),
    (dict(num_draws=1), '`num_draws` must be at least 2'),
])
def test_score_context__bad_counts(changes, error):
    with pytest.raises(ValueError, match=error):
        score_context(random_bank(0), **{'num_neighbors': 1, **changes})
