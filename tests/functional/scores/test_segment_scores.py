"""Majority, purity, oracle and retrieval scores against loops."""
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from references import sine_rows
from torch.nn.functional import normalize

from mmpixsort.functional.segments.clustering import (grid_labels,
                                                      spherical_kmeans)
from mmpixsort.functional.scores.segments import (majority_classes,
                                                  oracle_labels,
                                                  overlap_counts,
                                                  retrieval_accuracy,
                                                  segment_purity)

FIXTURES = Path(__file__).parents[2] / 'data' / 'segsort.npz'


def random_maps(seed, num_classes=5, batch=3, size=(7, 9)):
    """Return segment ids with gaps and labels with void."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(6, (batch, *size), generator=g) * 1000
    ids[torch.rand(ids.shape, generator=g) < .1] = -1
    labels = torch.randint(num_classes, ids.shape, generator=g)
    labels[torch.rand(ids.shape, generator=g) < .3] = 255
    labels[0, ids[0] == 1000] = 255
    return ids, labels


def majority_loop(ids, labels):
    """Return {(image, id): (class, its pixels, labelled pixels)}."""
    members = {}
    for b, y, x in np.ndindex(*ids.shape):
        if ids[b, y, x] >= 0:
            counter = members.setdefault((b, int(ids[b, y, x])), Counter())
            if labels[b, y, x] != 255:
                counter[int(labels[b, y, x])] += 1
    found = {}
    for key, counter in members.items():
        most = max(counter.values(), default=0)
        first = min((c for c in counter if counter[c] == most), default=255)
        found[key] = first, most, sum(counter.values())
    return found


def sine_map():
    """Return F4 of the reference: (1, 8, 16, 16)."""
    return sine_rows(256, 8).T.view(1, 8, 16, 16)


def f4_clusters():
    return spherical_kmeans(
        sine_map(), initial_labels=grid_labels((16, 16), (3, 3))[None],
        num_clusters=9, num_iters=10, frame='none').flatten()


def kept_pixels(majority, clusters, semantic):
    return (majority[clusters] == semantic).nonzero()[:, 0]


def test_majority_classes__recorded():
    data = {
        name: torch.from_numpy(np.load(FIXTURES)[f'majority0/{name}'])
        for name in ('semantic', 'cluster', 'majority', 'kept_pixels')
    }
    got = majority_classes(
        data['cluster'], data['semantic'], num_segments=20, num_classes=7)
    assert torch.equal(got, data['majority'])
    kept = kept_pixels(got, data['cluster'], data['semantic'])
    assert torch.equal(kept, data['kept_pixels'])


def test_majority_classes__fixture_f9():
    clusters, semantic = f4_clusters(), torch.arange(256) // 37 % 3
    got = majority_classes(
        clusters, semantic, num_segments=9, num_classes=3)
    assert got.tolist() == [0] * 9
    assert len(kept_pixels(got, clusters, semantic)) == 108


@pytest.mark.parametrize('seed', range(3))
def test_segment_scores__equal_loop(seed):
    ids, labels = random_maps(seed)
    found = majority_loop(ids, labels)
    options = dict(num_classes=5)
    painted = oracle_labels(ids, labels, **options)
    for b, y, x in np.ndindex(*ids.shape):
        want = found.get((b, int(ids[b, y, x])), (255, ))[0]
        assert painted[b, y, x] == want
    right, total = (sum(v[i] for v in found.values()) for i in (1, 2))
    assert segment_purity(ids, labels, **options).item() == right / total


def test_segment_scores__do_not_depend_on_numbers_or_batch():
    ids, labels = random_maps(0)
    whole = oracle_labels(ids, labels, num_classes=5)
    other = torch.where(ids >= 0, 70000 - ids, ids)
    assert torch.equal(oracle_labels(other, labels, num_classes=5), whole)
    for b in range(len(ids)):
        one = oracle_labels(ids[b:b + 1], labels[b:b + 1], num_classes=5)
        assert torch.equal(one[0], whole[b])


def test_majority_classes__ties_and_empty_segments():
    got = majority_classes(
        torch.tensor([0, 0, 1, 1, 3, -1]),
        torch.tensor([2, 1, 255, 0, 255, 2]),
        num_segments=5, num_classes=3)
    assert got.tolist() == [1, 0, -1, -1, -1]


def test_segment_scores__no_labelled_pixel_or_segment():
    ids, void = torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 255)
    for segment_ids, labels in ((ids, void), (ids - 1, ids)):
        assert segment_purity(segment_ids, labels, num_classes=2).isnan()
        painted = oracle_labels(segment_ids, labels, num_classes=2)
        assert (painted == 255).all()


def test_overlap_counts__equals_loop():
    g = torch.Generator().manual_seed(0)
    rows = torch.randint(-1, 5, (8, 9), generator=g)
    labels = torch.randint(-1, 4, (8, 9), generator=g)
    got = overlap_counts(rows, labels, num_rows=4, num_classes=4,
                         ignore_index=2)
    for r in range(4):
        for c in range(4):
            want = ((rows == r) & (labels == c)).sum() * (c != 2)
            assert got[r, c] == want


def test_retrieval_accuracy__by_hand():
    neighbors = torch.tensor([[1, 1, 2], [0, 0, 0], [2, 1, 1], [9, 9, 9]])
    got = retrieval_accuracy(neighbors, torch.tensor([1, 3, 2, -1]))
    assert got.mean.item() == pytest.approx((2 / 3 + 0 + 1 / 3) / 3)
    assert got.any.item() == pytest.approx(2 / 3)
    nothing = retrieval_accuracy(neighbors, torch.full((4, ), -1))
    assert nothing.mean.isnan() and nothing.any.isnan()


def test_retrieval_accuracy__fixture_f8():
    rows = normalize(sine_map(), dim=1)[0].flatten(1).T
    segments = f4_clusters() * 3 + torch.arange(256) // 37 % 3
    prototypes = normalize(torch.stack(
        [rows[segments == s].sum(0) for s in range(27)]), dim=1)
    labels = torch.arange(27) % 3
    nearest = (prototypes @ prototypes.T).topk(3).indices
    accuracy = retrieval_accuracy(labels[nearest], labels)
    assert accuracy.mean.item() == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize('call, error, text', [
    (lambda m: segment_purity(m[0], m, num_classes=2), ValueError,
     '`segment_ids` must have shape'),
    (lambda m: oracle_labels(m, m[:, :1], num_classes=2), ValueError,
     '`labels` must have shape'),
    (lambda m: oracle_labels(m.float(), m, num_classes=2), TypeError,
     '`segment_ids` must be integers'),
    (lambda m: retrieval_accuracy(m[0, 0], m[0, 0]), ValueError,
     '`neighbor_labels` must have shape'),
    (lambda m: retrieval_accuracy(m[0], m[0, :, 0][:1]), ValueError,
     '`labels` must have shape'),
    (lambda m: majority_classes(m, m, num_segments=2, num_classes=0),
     ValueError, '`num_classes` must be at least 1'),
])
def test_segment_scores__bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call(torch.zeros(1, 3, 3, dtype=torch.long))
