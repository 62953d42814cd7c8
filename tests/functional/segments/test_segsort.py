"""`functional.segment_sorting` against loops, fixtures, closed forms."""
from pathlib import Path

import numpy as np
import pytest
import torch
from dispatch import CallCounter
from references import segment_sorting_loop, sine_rows
from torch.nn.functional import normalize

from mmpixsort.functional.contrast import tiles as contrast_tiles
from mmpixsort.functional.segments.clustering import (grid_labels,
                                                      spherical_kmeans)
from mmpixsort.functional.segments.prototypes import (CODE_BASE, find_segments,
                                                      join_codes, prototypes)
from mmpixsort.functional.segments.sorting import (segment_sorting,
                                                   segment_sorting_sum)
from mmpixsort.structures import KeyBlock

FIXTURES = Path(__file__).parents[2] / 'data' / 'segsort.npz'
MODES = {'segsort': 'own', 'segsort+': 'same_class'}


def _random(seed, num=13, num_keys=9, dims=5):
    g = torch.Generator().manual_seed(seed)
    anchors = normalize(torch.randn(num, dims, generator=g).double(), dim=1)
    keys = normalize(torch.randn(num_keys, dims, generator=g).double(), dim=1)
    labels = torch.randint(-1, 3, (num, ), generator=g)
    key_labels = torch.randint(-1, 3, (num_keys, ), generator=g)
    own = torch.randint(-1, num_keys, (num, ), generator=g)
    return anchors, labels, keys, key_labels, own


def cut_tiles(monkeypatch, elements):
    """Let a tile hold so many similarities."""
    for name in ('CPU_ELEMENTS', 'CACHE_ELEMENTS'):
        monkeypatch.setattr(contrast_tiles, name, elements)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('positives', ['same_class', 'own'])
@pytest.mark.parametrize('tile', [1 << 22, 20])
def test_segment_sorting__equals_loop(seed, positives, tile, monkeypatch):
    cut_tiles(monkeypatch, tile)
    anchors, labels, keys, key_labels, own = _random(seed)
    options = dict(concentration=7., positives=positives)
    want, valid = segment_sorting_loop(
        anchors, labels.tolist(), keys, key_labels.tolist(),
        own_key=own.tolist(), **options)
    # what takes no part may hold anything
    anchors[labels < 0] = float('nan')
    keys[key_labels < 0] = float('nan')
    nll, got = segment_sorting(
        anchors, labels, keys, key_labels, own_key=own, **options)
    assert got.tolist() == valid
    assert torch.allclose(nll, torch.tensor(want).double(), atol=1e-10)
    blocks = [KeyBlock(keys[:4], key_labels[:4]),
              KeyBlock(keys[4:], key_labels[4:])]
    assert torch.allclose(
        segment_sorting(anchors, labels, blocks, own_key=own, **options)[0],
        nll)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('tile', [1 << 22, 20])
def test_segment_sorting__groups_equal_loop(seed, tile, monkeypatch):
    cut_tiles(monkeypatch, tile)
    anchors, labels, keys, key_labels, own = _random(seed)
    g = torch.Generator().manual_seed(seed)
    groups, key_groups = (
        torch.randint(-1, 2, (n, ), generator=g) for n in (13, 9))
    options = dict(concentration=5., positives='same_class')
    want, _ = segment_sorting_loop(
        anchors, labels.tolist(), keys, key_labels.tolist(),
        own_key=own.tolist(), anchor_groups=groups.tolist(),
        key_groups=key_groups.tolist(), **options)
    options.update(
        own_key=own, anchor_groups=groups, key_groups=key_groups)
    nll, _ = segment_sorting(anchors, labels, keys, key_labels, **options)
    assert torch.allclose(nll, torch.tensor(want).double(), atol=1e-10)
    assert torch.autograd.gradcheck(
        lambda a, k: segment_sorting(a, labels, k, key_labels, **options)[0],
        (anchors.requires_grad_(), keys.requires_grad_()))
    with pytest.raises(ValueError, match='together or not at all'):
        segment_sorting(anchors, labels, keys, key_labels,
                        **{**options, 'key_groups': None})


@pytest.mark.parametrize('case', range(3))
def test_segment_sorting__recorded_losses_and_gradients(case):
    data = np.load(FIXTURES)

    def read(name):
        return torch.from_numpy(data[f'loss{case}/{name}'])

    anchors = read('embeddings').double().requires_grad_()
    keys = read('prototypes').double().requires_grad_()
    nll, valid = segment_sorting(
        anchors, read('semantic_labels'), keys, read('prototype_labels'),
        own_key=read('segment_ids'),
        concentration=float(data[f'loss{case}/concentration']),
        positives=MODES[str(data[f'loss{case}/group_mode'])])
    loss = nll.mean()
    assert valid.all()
    assert abs(loss.item() / float(data[f'loss{case}/loss']) - 1) < 1e-6
    loss.backward()
    for tensor, name in ((anchors, 'grad_embeddings'),
                         (keys, 'grad_prototypes')):
        want = read(name).double()
        assert (tensor.grad - want).abs().max() < 1e-6 * want.abs().max()


@pytest.fixture(scope='module')
def sine():
    """Fixtures F4 and F5 of the reference: pixels, labels, segments."""
    rows = normalize(sine_rows(256, 8), dim=1)
    clusters = spherical_kmeans(
        rows.T.reshape(1, 8, 16, 16), num_iters=10, frame='none',
        initial_labels=grid_labels((16, 16), (3, 3))[None], num_clusters=9)
    labels = torch.arange(256) // 37 % 3
    found = find_segments(join_codes(clusters.flatten(), labels), 40)
    return rows, labels, clusters.flatten(), found


def test_prototypes__fixtures_f4_f5(sine):
    rows, _, clusters, found = sine
    assert found.num_found == 27
    assert (found.codes[:27] % CODE_BASE).tolist() == [0, 1, 2] * 9
    assert prototypes(rows, clusters, 9).sum().item() == pytest.approx(
        .915221, abs=1e-5)


# F6 and F6x: exact values; the released float32 code gives 3.436 at 64
@pytest.mark.parametrize('kappa, same_class, own', [
    (6., 2.5995348, 1.295941), (10., 4.3735509, 1.192744),
    (16., 7.1532074, 1.207011), (64., 28.959185, None)])
def test_segment_sorting__fixture_f6(sine, kappa, same_class, own):
    rows, labels, _, found = sine
    means = prototypes(rows, found.segment_ids, 40)
    key_labels = (found.codes % CODE_BASE).masked_fill(found.codes < 0, -1)
    for positives, want in (('same_class', same_class), ('own', own)):
        if want is None:
            continue
        nll, valid = segment_sorting(
            rows, labels, means, key_labels, own_key=found.segment_ids,
            concentration=kappa, positives=positives)
        assert valid.all()
        assert nll.mean().item() == pytest.approx(want, rel=2e-6)


@pytest.mark.parametrize('dtype', [
    torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_segment_sorting__fixture_f6c_does_not_cancel(dtype):
    keys = torch.tensor([[1., 0.], [-1., 0.], [0., 1.]], dtype=dtype)
    nll, _ = segment_sorting(
        keys[:1], torch.tensor([0]), keys, torch.tensor([0, 0, 1]),
        own_key=torch.tensor([0]), concentration=16.)
    assert nll.item() == pytest.approx(16.)


@pytest.mark.parametrize('positives', ['same_class', 'own'])
def test_segment_sorting__gradcheck(positives):
    anchors, labels, keys, key_labels, own = _random(0)
    assert torch.autograd.gradcheck(
        lambda a, k: segment_sorting(
            a, labels, k, key_labels, own_key=own, concentration=4.,
            positives=positives)[0],
        (anchors.requires_grad_(), keys.clone().requires_grad_()))


@pytest.mark.parametrize('kappa', [.5, 7., 16., 16.1, 64.])
@pytest.mark.parametrize('positives', ['same_class', 'own'])
@pytest.mark.parametrize('groups', [False, True])
@pytest.mark.parametrize('tile', [1 << 22, 20])
def test_sum__is_the_weighted_sum_of_the_rows(kappa, positives, groups, tile,
                                              monkeypatch):
    cut_tiles(monkeypatch, tile)
    anchors, labels, keys, key_labels, own = _random(5)
    g = torch.Generator().manual_seed(0)
    weights = torch.rand(len(anchors), generator=g).double()
    options = dict(own_key=own, concentration=kappa, positives=positives)
    if groups:
        options.update(
            anchor_groups=torch.randint(-1, 2, labels.shape, generator=g),
            key_groups=torch.randint(-1, 2, key_labels.shape, generator=g))
    results = []
    for one_pass in (False, True):
        pixels, batch = (part.clone().requires_grad_()
                         for part in (anchors, keys[:5]))
        blocks = [KeyBlock(batch, key_labels[:5]),
                  KeyBlock(keys[5:], key_labels[5:])]
        if one_pass:
            total, valid = segment_sorting_sum(
                pixels, labels, blocks, weights=weights, **options)
        else:
            nll, valid = segment_sorting(pixels, labels, blocks, **options)
            total = (weights * nll).sum()
        (3 * total).backward()
        results.append((total, valid, pixels.grad, batch.grad))
    for want, got in zip(*results):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    assert results[0][1].any() and results[0][3].abs().sum() > 0


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('positives', ['same_class', 'own'])
def test_sum__weights_of_one_without_any(seed, positives):
    anchors, labels, keys, key_labels, own = _random(seed)
    options = dict(own_key=own, concentration=9., positives=positives)
    nll, _ = segment_sorting(anchors, labels, keys, key_labels, **options)
    total, _ = segment_sorting_sum(
        anchors, labels, keys, key_labels, **options)
    torch.testing.assert_close(total, nll.sum())


def test_segment_sorting__equals_loop_at_a_large_concentration():
    anchors, labels, keys, key_labels, own = _random(6)
    options = dict(concentration=90., positives='same_class')
    want, valid = segment_sorting_loop(
        anchors, labels.tolist(), keys, key_labels.tolist(),
        own_key=own.tolist(), **options)
    nll, got = segment_sorting(
        anchors, labels, keys, key_labels, own_key=own, **options)
    assert got.tolist() == valid
    assert torch.allclose(nll, torch.tensor(want).double(), atol=1e-10)


@pytest.mark.parametrize('kappa', [10., 16., 64.])
def test_segment_sorting__keys_that_take_no_part_add_nothing(kappa):
    """The only positive lies opposite, the only negatives are ignored."""
    keys = torch.tensor([[-1., 0.], [1., 0.], [0., 1.], [0., 1.]])
    for count in (1, 700):
        rows = torch.cat([keys, keys[3:].expand(count, -1)])
        key_labels = torch.tensor([0, 1, -1, -1] + count * [-1])
        for drop in (False, True):  # the one negative too
            nll, valid = segment_sorting(
                torch.tensor([[1., 0.]]), torch.tensor([0]), rows,
                key_labels.masked_fill(key_labels == 1, -1)
                if drop else key_labels, own_key=torch.tensor([0]),
                concentration=kappa)
            assert valid.all()
            assert nll.item() == pytest.approx(
                0. if drop else 2 * kappa, abs=1e-6)


def test_segment_sorting__bank_may_change_before_backward():
    anchors, labels, keys, key_labels, own = _random(1)
    grads = []
    for change in (False, True):
        bank = keys.clone()
        pixels = anchors.clone().requires_grad_()
        batch = keys.clone().requires_grad_()
        nll, _ = segment_sorting(
            pixels, labels,
            [KeyBlock(batch, key_labels), KeyBlock(bank, key_labels)],
            own_key=own, concentration=4.)
        if change:
            bank.zero_()
        nll.sum().backward()
        grads.append((pixels.grad, batch.grad))
    for plain, changed in zip(*grads):
        assert torch.equal(plain, changed)


def test_segment_sorting__invariances():
    anchors, labels, keys, key_labels, own = _random(2)
    nll, _ = segment_sorting(
        anchors, labels, keys, key_labels, own_key=own, concentration=5.)
    order = torch.randperm(len(keys), generator=torch.manual_seed(0))
    place = torch.empty_like(order).scatter_(0, order,
                                             torch.arange(len(keys)))
    moved = torch.where(own < 0, own, place[own.clamp(min=0)])
    rotation = torch.linalg.qr(torch.randn(5, 5).double()).Q
    for rows, columns, own_key in (
            (anchors, order, moved), (anchors @ rotation, None, own)):
        these = keys[order] if columns is not None else keys @ rotation
        names = key_labels[order] if columns is not None else key_labels
        got, _ = segment_sorting(
            rows, labels, these, names, own_key=own_key, concentration=5.)
        assert torch.allclose(got, nll)


def test_segment_sorting__nothing_valid_has_a_zero_gradient():
    anchors, labels, keys, key_labels, own = _random(3)
    pixels = anchors.requires_grad_()
    nll, valid = segment_sorting(
        pixels, torch.full_like(labels, -1), keys, key_labels, own_key=own,
        concentration=5.)
    nll.sum().backward()
    assert not valid.any() and (nll == 0).all() and (pixels.grad == 0).all()


def test_segment_sorting__calls_and_no_sync():
    anchors, labels, keys, key_labels, own = _random(4, 300, 40)
    with CallCounter() as counter:
        nll, _ = segment_sorting(
            anchors.requires_grad_(), labels, keys.requires_grad_(),
            key_labels, own_key=own, concentration=5.)
        nll.sum().backward()
    assert counter.syncs == 0, counter.counts
    assert counter.calls <= 120, counter.counts


@pytest.mark.parametrize('changes, error', [
    (dict(concentration=0.), '`concentration` must be positive'),
    (dict(positives='all'), '`positives` must be one of'),
    (dict(own_key=torch.zeros(2).long()), '`own_key` must have shape'),
])
def test_segment_sorting__bad_input(changes, error):
    anchors, labels, keys, key_labels, own = _random(0)
    with pytest.raises(ValueError, match=error):
        segment_sorting(anchors, labels, keys, key_labels,
                        **{**dict(own_key=own, concentration=1.), **changes})


def test_sum__bad_weights():
    anchors, labels, keys, key_labels, own = _random(0)
    with pytest.raises(ValueError, match=r'`weights` must have shape \(13,'):
        segment_sorting_sum(
            anchors, labels, keys, key_labels, own_key=own, concentration=1.,
            weights=torch.ones(3))
