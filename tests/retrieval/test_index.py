"""Search: exact, and by FAISS."""
import builtins
from copy import deepcopy

import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.retrieval import build_index, index, recall_at_k


@pytest.fixture(scope='module')
def features():
    g = torch.Generator().manual_seed(0)
    return normalize(torch.randn(3000, 16, generator=g), dim=1)


def _needs_faiss(kind):
    if kind != 'exact':
        pytest.importorskip('faiss')


@pytest.mark.parametrize('with_faiss', [False, True])
@pytest.mark.parametrize('num_queries', [1, 7, 300])
def test_exact__equals_a_full_sort(features, monkeypatch, with_faiss,
                                   num_queries):
    if with_faiss:
        pytest.importorskip('faiss')
    monkeypatch.setattr(index, 'has_faiss', lambda: with_faiss)
    queries = features[:num_queries] + .01
    score, rows = build_index(features).search(queries, 9)
    want = (queries @ features.T).topk(9)
    assert torch.equal(rows, want.indices)
    assert torch.allclose(score, want.values, atol=1e-6)


@pytest.mark.parametrize('kind, least', [
    ('exact', 1.), ('ivf', .9), ('sq', .9)])
def test_index__recall(features, kind, least):
    _needs_faiss(kind)
    recall = recall_at_k(
        build_index(features, kind=kind), features, num_neighbors=5)
    assert least <= recall + 1e-6 <= 1.00001


def test_faiss__settings_are_put_back(features):
    faiss = pytest.importorskip('faiss')
    before = _settings(faiss)
    build_index(features).search(features[:3], 2)
    build_index(features, kind='ivf').search(features[:3], 2)
    assert _settings(faiss) == before


def _settings(faiss):
    return (faiss.cvar.distance_compute_blas_threshold,
            faiss.omp_get_max_threads())


@pytest.mark.parametrize('dtype', [torch.half, torch.double])
def test_exact__other_precisions_need_no_faiss(features, monkeypatch, dtype):
    monkeypatch.setattr(index, 'import_faiss', None)
    rows = features.to(dtype)
    score, _ = build_index(rows).search(features[:5], 3)
    want = (features[:5].to(score) @ rows.to(score).T).topk(3).values
    assert torch.allclose(score, want, atol=1e-6)


@pytest.mark.parametrize('with_faiss', [False, True])
def test_exact__bad_arguments_are_named(features, monkeypatch, with_faiss):
    monkeypatch.setattr(index, 'has_faiss', lambda: with_faiss)
    exact = build_index(features)
    with pytest.raises(ValueError, match='`num_neighbors`'):
        exact.search(features[:2], len(features) + 1)
    with pytest.raises(ValueError, match='`queries`'):
        exact.search(features[:2, :3], 2)


def test_exact__nan_finds_rows_of_the_bank(features):
    queries = features[:3].clone()
    queries[1] = torch.nan
    _, rows = build_index(features).search(queries, 4)
    assert (0 <= rows).all() and (rows < len(features)).all()
    assert rows[[0, 2], 0].tolist() == [0, 2]


def test_index__can_be_copied(features):
    for kind in ('exact', 'ivf'):
        _needs_faiss(kind)
        first = build_index(features, kind=kind)
        for one, other in zip(first.search(features[:4], 3),
                              deepcopy(first).search(features[:4], 3)):
            assert torch.equal(one, other)


def test_faiss__too_few_rows_in_the_lists(features):
    pytest.importorskip('faiss')
    lists = build_index(features, kind='ivf', num_lists=50, num_probes=1)
    with pytest.raises(ValueError, match='raise `num_probes`'):
        lists.search(features[:3], 2000)


def test_index__bad_kind_and_missing_extra(features, monkeypatch):
    with pytest.raises(ValueError, match='`kind` must be one of'):
        build_index(features, kind='hnsw')
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name == 'faiss':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', fake)
    with pytest.raises(ImportError, match=r'mmpixsort\[faiss\]'):
        build_index(features, kind='ivf')
