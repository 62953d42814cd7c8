"""`functional.pixel_contrast` against loops, fixtures and closed forms."""
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import broken_bank_loss, pixel_contrast_loop, sine_embeddings
from torch.nn.functional import normalize

from mmpixsort.functional import masked_mean, pixel_contrast
from mmpixsort.functional.contrast import tiles as contrast_tiles
from mmpixsort.functional.contrast.pixel_contrast import pixel_contrast_sum
from mmpixsort.samplers import KeyMiner
from mmpixsort.structures import KeyBlock

FIXTURES = Path(__file__).parents[2] / 'data' / 'contrast.npz'


def _random(seed, num_anchors=11, num_keys=17, dims=6, classes=4):
    g = torch.Generator().manual_seed(seed)
    anchors = torch.randn(num_anchors, dims, generator=g).double()
    keys = torch.randn(num_keys, dims, generator=g).double()
    labels = torch.randint(-1, classes, (num_anchors, ), generator=g)
    key_labels = torch.randint(-1, classes, (num_keys, ), generator=g)
    own = torch.randint(-1, num_keys, (num_anchors, ), generator=g)
    return (normalize(anchors, dim=1), labels, normalize(keys, dim=1),
            key_labels, own)


@pytest.mark.parametrize('seed', [0, 1, 2])
@pytest.mark.parametrize('denominator', ['per_positive', 'supcon'])
@pytest.mark.parametrize('tile', [1 << 22, 40])
def test_pixel_contrast__equals_loop(seed, denominator, tile, monkeypatch):
    for name in ('CPU_ELEMENTS', 'CACHE_ELEMENTS'):
        monkeypatch.setattr(contrast_tiles, name, tile)
    anchors, labels, keys, key_labels, own = _random(seed)
    # the own key of an anchor bears its label
    own = torch.where(key_labels[own.clamp(min=0)] == labels, own, -1)
    got, valid = pixel_contrast(
        anchors, labels, keys, key_labels, temperature=0.3,
        base_temperature=0.2, own_key=own, denominator=denominator)
    want, want_valid = pixel_contrast_loop(
        anchors, labels.tolist(), keys, key_labels.tolist(),
        temperature=0.3, base_temperature=0.2, own_key=own.tolist(),
        denominator=denominator)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    assert torch.equal(valid, want_valid)


@pytest.mark.parametrize('case', [0, 1, 2])
def test_pixel_contrast__recorded_numbers(case):
    data = np.load(FIXTURES)
    anchors = torch.tensor(data[f'case{case}/anchors'], requires_grad=True)
    num_views = anchors.shape[1]
    labels = torch.tensor(data[f'case{case}/labels'])
    labels = labels[:, None].expand(-1, num_views).flatten()
    rows = anchors.flatten(0, 1)
    loss = masked_mean(*pixel_contrast(
        rows, labels, rows, labels, own_key=0,
        temperature=float(data[f'case{case}/temperature']),
        base_temperature=float(data[f'case{case}/base_temperature'])))
    loss.backward()
    want = torch.tensor(data[f'case{case}/loss'])
    torch.testing.assert_close(loss.detach(), want, rtol=1e-5, atol=0)
    grad = torch.tensor(data[f'case{case}/grad'])
    error = (anchors.grad - grad).abs().max() / grad.abs().max()
    assert error < 1e-5


def test_pixel_contrast__f1_in_batch():
    anchors = sine_embeddings(5, 3, 8, phase=.1).requires_grad_()
    labels = torch.tensor([0, 1, 0, 2, 1])[:, None].expand(-1, 3).flatten()
    rows = anchors.flatten(0, 1)
    loss = masked_mean(*pixel_contrast(
        rows, labels, rows, labels, temperature=.1, base_temperature=.07,
        own_key=0))
    loss.backward()
    assert loss.item() == pytest.approx(16.0560970002, abs=1e-9)
    assert anchors.grad.abs().sum().item() == pytest.approx(
        78.53906, abs=1e-4)


@pytest.mark.parametrize('by_class', [True, False])
def test_pixel_contrast__f3_fixed_bank(by_class):
    anchors = sine_embeddings(4, 2, 8, phase=.1)
    labels = torch.tensor([0, 1, 2, 1])[:, None].expand(-1, 2).flatten()
    queue = sine_embeddings(3, 20, 8, phase=.7)
    table = torch.arange(3)[:, None].expand(3, 20)
    block = KeyBlock(queue, table) if by_class else KeyBlock(
        queue.flatten(0, 1), table.flatten())
    loss = masked_mean(*pixel_contrast(
        anchors.flatten(0, 1), labels, [block], temperature=.07,
        base_temperature=.07))
    assert loss.item() == pytest.approx(15.7867200, abs=1e-6)


@pytest.mark.parametrize('temperature, want', [(.07, 15.3264675),
                                               (.1, 16.0304813)])
def test_broken_bank_loss__f3_faithful(temperature, want):
    loss = broken_bank_loss(
        sine_embeddings(4, 2, 8, phase=.1), torch.tensor([0, 1, 2, 1]),
        sine_embeddings(3, 20, 8, phase=.7), temperature=temperature,
        base_temperature=.07)
    assert loss == pytest.approx(want, abs=2e-6)


def test_pixel_contrast__two_keys_by_hand():
    anchors = torch.tensor([[1., 0.]])
    keys = torch.tensor([[1., 0.], [0., 1.]])
    loss, valid = pixel_contrast(
        anchors, torch.tensor([0]), keys, torch.tensor([0, 1]),
        temperature=0.5)
    assert valid.item()
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)


@pytest.mark.parametrize('denominator', ['per_positive', 'supcon'])
@pytest.mark.parametrize('tile', [1 << 22, 30])
def test_pixel_contrast__gradcheck(denominator, tile, monkeypatch):
    for name in ('CPU_ELEMENTS', 'CACHE_ELEMENTS'):
        monkeypatch.setattr(contrast_tiles, name, tile)
    anchors, labels, keys, key_labels, own = _random(3, 7, 9, 5, 3)
    queue = torch.randn(
        3, 4, 5, generator=torch.Generator().manual_seed(1)).double()
    table = torch.tensor([[0, 0, -1, -1], [1] * 4, [2, -1, -1, -1]])

    def loss(anchors, keys):
        blocks = [KeyBlock(keys, key_labels), KeyBlock(queue, table)]
        return pixel_contrast(
            anchors, labels, blocks, temperature=.3, own_key=own,
            denominator=denominator)[0]

    def in_batch(anchors):
        return pixel_contrast(
            anchors, labels, anchors, labels, temperature=.3, own_key=0,
            denominator=denominator)[0]

    inputs = anchors.requires_grad_(), keys.requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradcheck(in_batch, inputs[:1])


@pytest.mark.parametrize('denominator', ['per_positive', 'supcon'])
def test_pixel_contrast__blocks_equal_one_tensor(denominator):
    anchors, labels, keys, key_labels, _ = _random(4)
    g = torch.Generator().manual_seed(2)
    queue = torch.randn(4, 5, 6, generator=g).double()
    count = torch.tensor([5, 0, 2, 3])
    table = torch.arange(4)[:, None].where(
        torch.arange(5) < count[:, None], -1)
    split = pixel_contrast(
        anchors, labels, [KeyBlock(keys, key_labels), KeyBlock(queue, table)],
        temperature=.2, own_key=3, denominator=denominator)
    joint = pixel_contrast(
        anchors, labels, torch.cat([keys, queue.flatten(0, 1)]),
        torch.cat([key_labels, table.flatten()]), temperature=.2, own_key=3,
        denominator=denominator)
    torch.testing.assert_close(split, joint)


def test_pixel_contrast__queues_may_be_overwritten_before_backward():
    anchors, labels, *_ = _random(5)
    queue = torch.randn(4, 5, 6).double()
    table = torch.arange(4)[:, None].expand(4, 5)
    grads = []
    for overwrite in (False, True):
        leaf = anchors.clone().requires_grad_()
        keys = queue.clone()
        loss, _ = pixel_contrast(
            leaf, labels, [KeyBlock(keys, table)], temperature=.2)
        if overwrite:
            keys.fill_(float('nan'))
        loss.sum().backward()
        grads.append(leaf.grad)
    assert torch.equal(*grads)


@pytest.mark.parametrize('labels, keys_labels', [
    ([0, 0, 0], [0, 0, 0]),  # one class: no negative
    ([-1, -1, -1], [0, 1, 2]),  # all ignored
    ([0, 1, 2], [3, 3, 3]),  # no positive
    ([0, 1, 2], [-1, -1, -1]),  # no key
])
def test_pixel_contrast__limits_are_zero(labels, keys_labels):
    anchors = normalize(torch.randn(3, 4), dim=1).requires_grad_()
    keys = normalize(torch.randn(3, 4), dim=1)
    loss, _ = pixel_contrast(
        anchors, torch.tensor(labels), keys, torch.tensor(keys_labels),
        temperature=.1)
    assert torch.equal(loss, torch.zeros(3))
    loss.sum().backward()
    assert torch.equal(anchors.grad, torch.zeros(3, 4))


def test_pixel_contrast__only_key_is_itself():
    anchors = normalize(torch.randn(3, 4), dim=1)
    labels = torch.tensor([0, 1, 2])
    loss, valid = pixel_contrast(
        anchors, labels, anchors, labels, temperature=.1, own_key=0)
    assert not valid.any() and torch.equal(loss, torch.zeros(3))


@pytest.mark.parametrize('num_anchors, num_keys', [(0, 3), (3, 0), (0, 0)])
def test_pixel_contrast__empty(num_anchors, num_keys):
    anchors = torch.rand(num_anchors, 4, requires_grad=True)
    loss, valid = pixel_contrast(
        anchors, torch.zeros(num_anchors, dtype=torch.long),
        torch.rand(num_keys, 4), torch.zeros(num_keys, dtype=torch.long),
        temperature=.1)
    assert loss.shape == valid.shape == (num_anchors, )
    assert not valid.any()
    masked_mean(loss, valid).backward()
    assert torch.equal(anchors.grad, torch.zeros(num_anchors, 4))


def test_pixel_contrast__no_anchor_against_queues():
    anchors = torch.rand(0, 4, requires_grad=True)
    block = KeyBlock(torch.rand(2, 3, 4), torch.zeros(2, 3).long())
    loss, valid = pixel_contrast(
        anchors, torch.zeros(0).long(), [block], temperature=.1)
    masked_mean(loss, valid).backward()
    assert loss.shape == (0, )


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32])
def test_pixel_contrast__labels_of_any_integer_type(dtype):
    anchors, labels, keys, key_labels, _ = _random(9)
    labels, key_labels = labels.clamp(min=0), key_labels.clamp(min=0)
    queue = torch.randn(4, 11, 6).double()  # as many slots as anchors
    table = torch.arange(4)[:, None].expand(4, 11)
    results = [
        pixel_contrast(
            anchors, labels.to(kind),
            [KeyBlock(keys, key_labels.to(kind)),
             KeyBlock(queue, table.to(kind))], temperature=.1)
        for kind in (torch.int64, dtype)
    ]
    torch.testing.assert_close(*results)


def test_pixel_contrast__gradient_of_queues():
    anchors, labels, *_ = _random(3, 7)
    queue = torch.randn(4, 3, 6).double().requires_grad_()
    table = torch.tensor([[0, 0, -1], [1] * 3, [2, -1, -1], [3] * 3])
    assert torch.autograd.gradcheck(
        lambda a, k: pixel_contrast(
            a, labels, [KeyBlock(k, table)], temperature=.3)[0],
        (anchors.requires_grad_(), queue))


def test_pixel_contrast__nan_of_ignored_rows_stays_out():
    anchors, labels, keys, key_labels, _ = _random(6)
    labels[0], key_labels[0] = -1, -1
    clean = [anchors.clone(), keys.clone()]
    dirty = [anchors.clone(), keys.clone()]
    for rows in dirty:
        rows[0] = float('nan')
    results = []
    for a, k in (clean, dirty):
        a.requires_grad_(), k.requires_grad_()
        loss, valid = pixel_contrast(a, labels, k, key_labels, temperature=.1)
        masked_mean(loss, valid).backward()
        results.append((loss.detach(), a.grad, k.grad))
    for want, got in zip(*results):
        assert torch.equal(want, got)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('temperature', [0.01, 0.1])
def test_pixel_contrast__half_precision_is_finite(dtype, temperature):
    anchors = normalize(torch.randn(8, 16), dim=1).to(dtype).requires_grad_()
    labels = torch.arange(8) % 3
    queue = normalize(torch.randn(3, 7, 16), dim=2).to(dtype)
    table = torch.arange(3)[:, None].expand(3, 7)
    loss, _ = pixel_contrast(
        anchors, labels, [KeyBlock(queue, table)], temperature=temperature)
    exact, _ = pixel_contrast(
        anchors.double(), labels, [KeyBlock(queue.double(), table)],
        temperature=temperature)
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert anchors.grad.isfinite().all()
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)


def test_pixel_contrast__autocast_is_off_inside():
    anchors = normalize(torch.randn(8, 16), dim=1)
    labels = torch.arange(8) % 3
    want, _ = pixel_contrast(
        anchors, labels, anchors, labels, temperature=.07, own_key=0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got, _ = pixel_contrast(
            anchors, labels, anchors, labels, temperature=.07, own_key=0)
    assert torch.equal(got, want)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), supcon=st.booleans())
def test_pixel_contrast__invariances(seed, supcon):
    anchors, labels, keys, key_labels, _ = _random(seed)
    loss = partial(
        pixel_contrast, temperature=.2,
        denominator='supcon' if supcon else 'per_positive')
    want, _ = loss(anchors, labels, keys, key_labels)
    g = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=g).double())[0]
    rotated, _ = loss(anchors @ rotation, labels, keys @ rotation, key_labels)
    torch.testing.assert_close(rotated, want)
    order = torch.randperm(len(keys), generator=g)
    shuffled, _ = loss(anchors, labels, keys[order], key_labels[order])
    torch.testing.assert_close(shuffled, want)
    order = torch.randperm(len(anchors), generator=g)
    shuffled, _ = loss(anchors[order], labels[order], keys, key_labels)
    torch.testing.assert_close(shuffled, want[order])


def test_pixel_contrast__falls_when_a_positive_comes_closer():
    anchors = normalize(torch.randn(1, 8), dim=1)
    keys = normalize(torch.randn(5, 8), dim=1)
    labels = torch.tensor([0, 0, 1, 1, 2])
    far, _ = pixel_contrast(
        anchors, torch.tensor([0]), keys, labels, temperature=.1)
    keys[0] = normalize(keys[0] + anchors[0], dim=0)
    near, _ = pixel_contrast(
        anchors, torch.tensor([0]), keys, labels, temperature=.1)
    assert near < far


def test_pixel_contrast__miner_of_all_pairs_changes_nothing():
    anchors, labels, keys, key_labels, _ = _random(7)
    everything = KeyMiner(
        strategy='hardest', num_positives=99, num_negatives=99)
    want = pixel_contrast(anchors, labels, keys, key_labels, temperature=.1)
    got = pixel_contrast(
        anchors, labels, keys, key_labels, temperature=.1, miner=everything)
    torch.testing.assert_close(got, want)


def test_pixel_contrast__mined_equals_loop_on_the_chosen_keys():
    anchors, labels, keys, key_labels, _ = _random(8)
    queue = torch.randn(4, 5, 6).double()
    table = torch.arange(4)[:, None].expand(4, 5)
    miner = KeyMiner(strategy='hardest', num_positives=2, num_negatives=3)
    got, _ = pixel_contrast(
        anchors, labels, [KeyBlock(keys, key_labels), KeyBlock(queue, table)],
        temperature=.3, miner=miner)
    every = torch.cat([keys, queue.flatten(0, 1)])
    every_label = torch.cat([key_labels, table.flatten()])
    for i, label in enumerate(labels.tolist()):
        sim = every @ anchors[i]
        same = [k for k in range(len(every)) if every_label[k] == label]
        other = [k for k in range(len(every))
                 if every_label[k] not in (label, -1)]
        chosen = sorted(same, key=lambda k: sim[k])[:2] + sorted(
            other, key=lambda k: -sim[k])[:3]
        want, valid = pixel_contrast_loop(
            anchors[i:i + 1], [label], every[chosen],
            every_label[chosen].tolist(), temperature=.3)
        torch.testing.assert_close(got[i:i + 1], want)


def _extra_megabytes(num_anchors: int, num_slots: int, dims: int) -> float:
    """Peak of what a loss against a bank holds beside its inputs."""
    queue = normalize(torch.randn(19, num_slots, dims), dim=2)
    table = torch.arange(19)[:, None].expand(19, num_slots).contiguous()
    anchors = normalize(torch.randn(num_anchors, dims), dim=1)
    anchors.requires_grad_()
    labels = torch.arange(num_anchors) % 19
    with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU],
            profile_memory=True) as profile:
        loss, valid = pixel_contrast(
            anchors, labels, [KeyBlock(queue, table)], temperature=.1)
        masked_mean(loss, valid).backward()
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == '[memory]':
            held += event.nbytes()
            peak = max(peak, held)
    return peak / 2**20


def test_pixel_contrast__memory_is_flat_in_the_bank():
    small = _extra_megabytes(256, 2500, 64)
    large = _extra_megabytes(256, 10000, 64)
    assert small > 10  # the tiles are seen at all
    # four times the keys; the product of matrices packs some of them
    assert large < 1.5 * small


def test_pixel_contrast__memory_at_cityscapes_size():
    assert _extra_megabytes(1024, 5000, 256) < 200


@pytest.mark.parametrize('change, error, text', [
    (dict(temperature=-0.1), ValueError, '`temperature` must be positive'),
    (dict(temperature='1'), TypeError, '`temperature` must be a number'),
    (dict(base_temperature=0), ValueError, '`base_temperature` must be pos'),
    (dict(denominator='all'), ValueError, '`denominator` must be one of'),
    (dict(anchors=torch.rand(2, 3, 4)), ValueError, '`anchors` must be'),
    (dict(anchor_labels=torch.zeros(2)), TypeError, 'must be integers'),
    (dict(anchor_labels=torch.tensor([0])), ValueError, r'shape \(2,\)'),
    (dict(keys=torch.rand(3, 5)), ValueError, r'`keys` must have shape'),
    (dict(key_labels=None), ValueError, '`key_labels` must be given'),
    (dict(own_key=torch.tensor([0])), ValueError, '`own_key` must have'),
    (dict(keys=[]), ValueError, '`key_labels` must be None'),
])
def test_pixel_contrast__bad_input(change, error, text):
    arguments = dict(
        anchors=torch.rand(2, 4), anchor_labels=torch.tensor([0, 1]),
        keys=torch.rand(3, 4), key_labels=torch.tensor([0, 1, 1]),
        temperature=.1)
    with pytest.raises(error, match=text):
        pixel_contrast(**{**arguments, **change})


@pytest.mark.parametrize('denominator', ['per_positive', 'supcon'])
@pytest.mark.parametrize('joint', [True, False])
@pytest.mark.parametrize('tile', [1 << 22, 40])
def test_sum__is_the_sum_of_the_rows(denominator, joint, tile, monkeypatch):
    for name in ('CPU_ELEMENTS', 'CACHE_ELEMENTS'):
        monkeypatch.setattr(contrast_tiles, name, tile)
    rows, labels, others, key_labels, own = _random(3)
    results = []
    for function in (pixel_contrast, pixel_contrast_sum):
        anchors, keys = (part.clone().requires_grad_()
                         for part in (rows, others))
        block, own_key = KeyBlock(keys, key_labels), own
        if joint:
            block, own_key = KeyBlock(anchors, labels), 0
        value, valid = function(
            anchors, labels, [block, KeyBlock(others, key_labels)],
            temperature=.2, base_temperature=.1, own_key=own_key,
            denominator=denominator)
        (2 * value.sum()).backward()
        results.append((value.sum(), valid, anchors.grad, keys.grad))
    (value, valid, *grads), (same_value, same_valid, *same_grads) = results
    torch.testing.assert_close(same_value, value)
    assert torch.equal(same_valid, valid) and valid.any()
    torch.testing.assert_close(same_grads, grads)
