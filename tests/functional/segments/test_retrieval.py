"""Nearest keys and votes against full sorts and the recorded numbers."""
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.functional import nearest_keys, vote_fractions
from mmpixsort.functional.segments import nearest
from mmpixsort.functional.segments.nearest import row_similarity

FIXTURES = Path(__file__).parents[2] / 'data' / 'segsort.npz'


def _rows(seed, count, dims=8):
    g = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, dims, generator=g).double(), dim=1)


@pytest.mark.parametrize('case', range(2))
def test_retrieval__recorded_votes(case):
    data = np.load(FIXTURES)
    queries, bank, labels, top, majority = (
        torch.from_numpy(data[f'knn{case}/{name}']) for name in (
            'queries', 'bank', 'bank_labels', 'top_labels', 'majority'))
    k = int(data[f'knn{case}/k'])
    _, rows = nearest_keys(queries, bank, num_neighbors=k)
    assert torch.equal(labels[rows], top)
    votes = vote_fractions(
        labels[rows], num_classes=int(labels.max()) + 1)
    assert torch.equal(votes.argmax(1), majority)


@pytest.mark.parametrize('chunk, count', [
    (1, 150), (7, 150), (64, 150), (1000, 150), (1024, 4096), (1 << 14, 2048)
])
def test_nearest_keys__equal_a_full_sort(chunk, count):
    queries, keys = _rows(0, 9), _rows(1, count)
    score, rows = nearest_keys(
        queries, keys, num_neighbors=12, chunk_size=chunk)
    want = (queries @ keys.T).sort(1, descending=True)
    assert torch.equal(rows, want.indices[:, :12])
    assert torch.allclose(score, want.values[:, :12])


@pytest.mark.parametrize('count, chunk', [
    (150, None), (150, 7), (4096, 100), (4109, None), (33, 1000)])
@pytest.mark.parametrize('num_queries', [0, 1, 9])
@pytest.mark.parametrize('half', [False, True])
def test_nearest_keys__by_maxima_equal_a_full_sort(
        count, chunk, num_queries, half, monkeypatch):
    monkeypatch.setattr(nearest, 'MAXIMA_COST', 0)
    monkeypatch.setattr(nearest, 'QUERIES', 4)
    queries, keys = _rows(0, num_queries), _rows(1, count)
    if half:
        queries, keys = queries.float(), keys.half()
    score, rows = nearest_keys(
        queries, keys, num_neighbors=12, chunk_size=chunk)
    want = (queries @ keys.to(queries).T).sort(1, descending=True)
    assert torch.equal(rows, want.indices[:, :12])
    assert torch.allclose(score, want.values[:, :12])


def test_nearest_keys__half_precision_keys():
    queries, keys = _rows(0, 4).float(), _rows(1, 50).half()
    _, rows = nearest_keys(queries, keys, num_neighbors=3, chunk_size=16)
    want = (queries @ keys.float().T).topk(3).indices
    assert torch.equal(rows, want)


def test_vote_fractions__fixture_f8():
    votes = vote_fractions(
        torch.tensor([[2, 1, 0], [1, 1, 2], [2, 0, 2]]), num_classes=3)
    assert votes.argmax(1).tolist() == [0, 1, 2]  # ties to the smallest
    assert torch.allclose(votes.sum(1), torch.ones(3))


@pytest.mark.parametrize('seed', range(5))
def test_vote_fractions__nearest_changes_ties_only(seed):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (200, 8), generator=g)
    plain = vote_fractions(labels, num_classes=4)
    nearest = vote_fractions(labels, num_classes=4, ties='nearest')
    assert torch.allclose(nearest.sum(1), torch.ones(200))
    for row, votes, found in zip(labels.tolist(), plain, nearest.argmax(1)):
        best = (votes > votes.max() - 1e-6).nonzero()[:, 0].tolist()
        assert int(found) == next(c for c in row if c in best)


def test_vote_fractions__by_similarity():
    votes = vote_fractions(
        torch.tensor([[1, 0, 0]]), torch.tensor([[1., 0., 0.]]),
        num_classes=2, concentration=5.)
    near = np.exp(5) / (np.exp(5) + 2)
    assert votes[0].tolist() == pytest.approx([1 - near, near])


def test_retrieval__bad_input():
    rows = _rows(0, 4)
    with pytest.raises(ValueError, match='`num_neighbors` must be at most 4'):
        nearest_keys(rows, rows, num_neighbors=5)
    with pytest.raises(ValueError, match='`queries` and `keys`'):
        nearest_keys(rows, rows[:, :3], num_neighbors=1)
    with pytest.raises(ValueError, match='`similarities` must be given'):
        vote_fractions(torch.zeros(1, 1).long(), num_classes=2,
                       concentration=1.)
    with pytest.raises(ValueError, match='`ties` must be one of'):
        vote_fractions(torch.zeros(1, 1).long(), num_classes=2, ties='last')


def test_row_similarity__cosines_of_unit_rows_and_order_of_distances():
    g = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(n, 5, generator=g) for n in (4, 9))
    units = [torch.nn.functional.normalize(rows, dim=1)
             for rows in (queries, keys)]
    assert torch.allclose(
        row_similarity(*units), units[0] @ units[1].T, atol=1e-6)
    order = row_similarity(queries, keys).argsort(1, descending=True)
    assert torch.equal(order, torch.cdist(queries, keys).argsort(1))
