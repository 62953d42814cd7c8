"""Drawing anchors: the published quotas, uniformity, fixed shapes."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import anchor_sampling_loop, sine_embeddings

from mmpixsort.functional import masked_mean, pixel_contrast
from mmpixsort.functional.contrast import sampling
from mmpixsort.functional.contrast.sampling import (anchor_ranges,
                                                    gather_pixels,
                                                    sample_anchors,
                                                    sample_classes)


@pytest.fixture
def first_picks(monkeypatch):
    """Pixels in order instead of at random, as the fixtures were made."""
    monkeypatch.setattr(
        sampling, 'draw_noise', lambda labels, _: torch.arange(
            labels.numel()).view(labels.shape))


def _f2_input():
    """Embeddings, labels on their grid and predictions of fixture F2."""
    embeddings = sine_embeddings(2, 8, 8, 8, phase=.1, dim=1).float()
    i, j = torch.meshgrid(torch.arange(16), torch.arange(16), indexing='ij')
    labels = torch.stack([i // 6 + j // 9, (i // 6 + j // 9).flip(1)])
    labels[0, :3, :3] = -1
    predictions = (7 * torch.arange(128) % 3).view(2, 8, 8)
    return embeddings, labels[:, ::2, ::2], predictions


def _faithful(labels, predictions, max_samples, max_views):
    pixel, anchor_labels = sample_anchors(
        labels, predictions != labels, num_classes=4,
        max_samples=max_samples, max_views=max_views,
        min_pixels=max_views + 1, round_hard_up=False)
    used = anchor_labels >= 0
    return pixel[used], anchor_labels[used]


@pytest.mark.parametrize('max_samples, max_views, pairs, views, loss, grad', [
    (1024, 4, 8, 4, 13.2478504, 61.594181),
    (12, 4, 8, 1, 8.0788383, 70.551094),
    (1024, 20, 2, 20, 0., 0.),
])
def test_sample_anchors__f2(first_picks, max_samples, max_views, pairs,
                            views, loss, grad):
    embeddings, labels, predictions = _f2_input()
    embeddings.requires_grad_()
    pixel, anchor_labels = _faithful(labels, predictions, max_samples,
                                     max_views)
    assert len(pixel) == pairs * views
    anchors = gather_pixels(embeddings, pixel)
    got = masked_mean(*pixel_contrast(
        anchors, anchor_labels, anchors, anchor_labels, temperature=.1,
        base_temperature=.07, own_key=0))
    got.backward()
    assert got.item() == pytest.approx(loss, rel=2e-6, abs=1e-8)
    assert embeddings.grad.abs().sum().item() == pytest.approx(
        grad, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize('seed', [0, 1, 2])
@pytest.mark.parametrize('max_samples, max_views',
                         [(64, 4), (20, 3), (1024, 100), (13, 5)])
def test_sample_anchors__equals_published_loop(first_picks, seed, max_samples,
                                               max_views):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 4, (3, 9, 11), generator=g)
    labels[0, :6] = 2
    predictions = torch.randint(0, 4, (3, 9, 11), generator=g)
    pixel, anchor_labels = _faithful(labels, predictions, max_samples,
                                     max_views)
    want, want_labels = anchor_sampling_loop(
        labels, predictions, max_samples=max_samples, max_views=max_views)
    assert sorted(pixel.tolist()) == sorted(want)
    assert anchor_labels.tolist() == want_labels


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 5),
       max_samples=st.integers(1, 40), max_views=st.integers(1, 9))
def test_sample_anchors__properties(seed, classes, max_samples, max_views):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(-2, classes + 2, (2, 4, 5), generator=g)
    hard = torch.rand(2, 4, 5, generator=g) < 0.4
    pixel, anchor_labels = sample_anchors(
        labels, hard, num_classes=classes, max_samples=max_samples,
        max_views=max_views, generator=g)
    rows = min(max_samples, len(labels) * classes * max_views)
    assert pixel.shape == anchor_labels.shape == (rows, )
    used = anchor_labels >= 0
    assert torch.equal(labels.flatten()[pixel[used]], anchor_labels[used])
    assert anchor_labels.max() < classes
    assert len(pixel[used].unique()) == int(used.sum())
    pair = (pixel // 20) * classes + anchor_labels
    counts = pair[used].bincount(minlength=2 * classes)
    assert counts.max() <= max_views
    present = torch.stack([(labels == c).flatten(1).any(1)
                           for c in range(classes)]).sum()
    if 0 < present <= max_samples:
        assert int((counts > 0).sum()) == int(present)


def test_sample_anchors__one_view_is_a_hard_one():
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    hard = torch.zeros(1, 10, 10, dtype=torch.bool)
    hard[0, 5, 5] = True
    for seed in range(5):
        pixel, label = sample_anchors(
            labels, hard, num_classes=1, max_samples=4, max_views=1,
            generator=torch.Generator().manual_seed(seed))
        assert label.tolist() == [0] and pixel[0] == 55


def test_sample_anchors__is_uniform():
    labels = torch.zeros(1, 4, 5, dtype=torch.long)
    hard = torch.zeros(1, 4, 5, dtype=torch.bool)
    g = torch.Generator().manual_seed(0)
    counts = torch.zeros(20)
    for _ in range(2000):
        pixel, _ = sample_anchors(
            labels, hard, num_classes=1, max_samples=5, max_views=5,
            generator=g)
        counts[pixel] += 1
    # binomial(2000, 1/4): deviation 19.4
    assert (counts - 500).abs().max() < 5 * 19.4


def test_sample_anchors__repeats_with_the_generator():
    labels = torch.randint(0, 3, (2, 8, 8))
    hard = torch.rand(2, 8, 8) < 0.5
    draws = [
        sample_anchors(
            labels, hard, num_classes=3, max_samples=30, max_views=5,
            generator=torch.Generator().manual_seed(seed))[0]
        for seed in (3, 3, 4)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize('hard, easy, want', [
    (9, 9, (5, 4)),  # both enough: the larger half is hard
    (9, 2, (7, 2)),  # few easy: hard fills up
    (1, 9, (1, 8)),  # few hard: easy fills up
    (3, 2, (3, 2)),  # few of both: all
])
def test_anchor_ranges__fill_up(hard, easy, want):
    middle = torch.tensor([[20]])
    counts, end = anchor_ranges(
        middle - easy, middle, middle + hard, max_samples=100, max_views=9,
        min_pixels=1, round_hard_up=True)
    assert (end - middle, counts - (end - middle)) == want


def test_sample_classes__picks_of_the_named_class():
    labels = torch.tensor([[[0, 0, 1], [1, 1, -1]], [[2, 5, 2], [2, 2, 2]]])
    pixel, unused = sample_classes(labels, 3, torch.arange(4))
    assert (~unused).sum(2).tolist() == [[2, 3, 0], [0, 0, 4]]
    picked = labels.flatten()[pixel]
    for c in range(3):
        assert (picked[:, c][~unused[:, c]] == c).all()


def test_gather_pixels__equals_indexing_with_one_gradient():
    feature = torch.rand(2, 3, 4, 5, requires_grad=True)
    pixel = torch.tensor([0, 7, 23, 39])
    rows = gather_pixels(feature, pixel)
    want = feature.permute(0, 2, 3, 1).reshape(-1, 3)[pixel]
    assert torch.equal(rows, want)
    grad, = torch.autograd.grad(rows.sum(), feature, retain_graph=True)
    assert torch.equal(grad, torch.autograd.grad(want.sum(), feature)[0])
