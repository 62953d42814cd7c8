"""Search: exact, and by FAISS."""
import builtins

import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.retrieval import build_index, recall_at_k


@pytest.fixture(scope='module')
def features():
    g = torch.Generator().manual_seed(0)
    return normalize(torch.randn(3000, 16, generator=g), dim=1)


def _needs_faiss(kind):
    if kind != 'exact':
        pytest.importorskip('faiss')


@pytest.mark.parametrize('kind', ['exact', 'flat'])
def test_index__exact_kinds_equal_a_full_sort(features, kind):
    _needs_faiss(kind)
    queries = features[:7] + .01
    score, rows = build_index(features, kind=kind).search(queries, 9)
    want = (queries @ features.T).topk(9)
    assert torch.equal(rows, want.indices)
    assert torch.allclose(score, want.values, atol=1e-6)


@pytest.mark.parametrize('kind, least', [
    ('exact', 1.), ('flat', 1.), ('ivf', .9), ('sq', .9)])
def test_index__recall(features, kind, least):
    _needs_faiss(kind)
    recall = recall_at_k(
        build_index(features, kind=kind), features, num_neighbors=5)
    assert least <= recall + 1e-6 <= 1.00001


def test_faiss__threshold_is_put_back(features):
    faiss = pytest.importorskip('faiss')
    before = faiss.cvar.distance_compute_blas_threshold
    build_index(features, kind='flat').search(features[:3], 2)
    assert faiss.cvar.distance_compute_blas_threshold == before


def test_faiss__too_few_rows_in_the_lists(features):
    pytest.importorskip('faiss')
    index = build_index(features, kind='ivf', num_lists=50, num_probes=1)
    with pytest.raises(ValueError, match='raise `num_probes`'):
        index.search(features[:3], 2000)


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
        build_index(features, kind='flat')
