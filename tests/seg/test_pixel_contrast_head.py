"""The head: wiring, zero losses, warm-up, bad input."""
import copy
import pickle

import pytest
import tiny
import torch
from mmengine.structures import PixelData

from mmpixsort.registry import MODELS


def _head(**changes):
    return MODELS.build(tiny.metric_head(**changes))


def _features(seed=0):
    g = torch.Generator().manual_seed(seed)
    levels = (torch.randn(2, 8, 16, 16, generator=g),
              torch.randn(2, 16, 8, 8, generator=g))
    _, samples = tiny.batch(seed=seed)
    return levels, samples


def _touches_all(head, loss):
    head.zero_grad()
    loss.backward()
    return all(p.grad is not None and p.grad.isfinite().all()
               for p in head.parameters())


@pytest.mark.parametrize('key_scope', ['batch', 'bank', 'batch_and_bank'])
def test_head__learns(key_scope):
    torch.manual_seed(0)
    head = _head(keys=dict(scope=key_scope))
    levels, samples = _features()
    # each class has a feature of its own, under noise
    labels = torch.stack([s.gt_sem_seg.data[0, ::4, ::4] for s in samples])
    classes = torch.randn(256, 16)
    levels = (None, classes[labels].permute(0, 3, 1, 2) + levels[1])
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5, momentum=0.9)
    losses = []
    for _ in range(40):
        loss = head.loss(levels, samples)['loss_pixel_contrast']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[1:6])


def test_head__warm_up_fills_the_bank_without_a_loss():
    head = _head(warmup_iters=2)
    levels, samples = _features()
    for i in range(3):
        loss = head.loss(levels, samples)['loss_pixel_contrast']
        assert (loss.item() == 0) == (i < 2)
        assert _touches_all(head, loss)
        assert head.bank.written.sum() > 0


def test_head__embeddings_of_no_length_take_no_part():
    head = _head(projection=dict(
        type='mmpixsort.ProjectionHead', norm_cfg=None))
    for name, value in head.projection.named_parameters():
        if name.endswith('bias'):
            torch.nn.init.zeros_(value)
    levels, samples = _features()
    levels[1][:, :, :4] = 0  # embedded as zeros
    levels[1].requires_grad_()
    for _ in range(2):  # the second with a bank
        assert _touches_all(
            head, head.loss(levels, samples)['loss_pixel_contrast'])
    assert 0 < levels[1].grad.abs().max() < 10
    keys, _ = head.bank.entries()
    assert torch.allclose(keys.norm(dim=1), torch.ones(len(keys)))


def test_head__warm_up_gradient_is_zero_and_not_none():
    head = _head(warmup_iters=9)
    levels, samples = _features()
    with torch.no_grad():
        head.projection[0].weight[0, 0] = float('nan')
    head.loss(levels, samples)['loss_pixel_contrast'].backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p))
               for p in head.parameters())


def test_head__all_ignored_is_a_finite_zero():
    head = _head(bank=None)
    levels, samples = _features()
    for sample in samples:
        sample.gt_sem_seg.data.fill_(255)
    loss = head.loss(levels, samples)['loss_pixel_contrast']
    assert loss.item() == 0 and _touches_all(head, loss)


@pytest.mark.parametrize('size', [1, 3])
def test_head__one_class_and_tiny_maps(size):
    head = _head().train()
    levels = [None, torch.randn(2, 16, size, size)]
    _, samples = tiny.batch()
    for sample in samples:
        sample.gt_sem_seg.data.fill_(1)
    for _ in range(2):
        loss = head.loss(levels, samples)['loss_pixel_contrast']
        assert loss.isfinite() and _touches_all(head, loss)


@pytest.mark.parametrize('hardness', ['segmentation', 'confidence'])
def test_head__logits_of_another_size(hardness):
    head = _head(sampler=dict(type='mmpixsort.HardAnchorSampler',
                              hardness=hardness))
    levels, samples = _features()
    losses = head.loss(levels, samples, logits=torch.randn(2, 4, 5, 5))
    assert losses['loss_pixel_contrast'].isfinite()
    assert losses['pixel_contrast_anchors'] > 0


def test_head__mmdet_label_field():
    head = _head()
    levels, samples = _features()
    want = head.loss(levels, samples)['loss_pixel_contrast']
    for sample in samples:
        sample.gt_sem_seg = PixelData(sem_seg=sample.gt_sem_seg.data)
    head.clock.calls = -1
    head.bank.reset()
    got = head.loss(levels, samples)['loss_pixel_contrast']
    torch.testing.assert_close(got, want)


def test_head__repeats():
    levels, samples = _features()
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        head = _head()
        torch.rand(7)  # the global random state does not matter
        results.append([
            head.loss(levels, samples)['loss_pixel_contrast'].item()
            for _ in range(3)
        ] + head.bank.keys.flatten().tolist())
    assert results[0] == results[1]


def test_head__copies_and_pickles():
    head = _head()
    levels, samples = _features()
    head.loss(levels, samples)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(head)))
    assert torch.equal(twin.bank.keys, head.bank.keys)


def test_head__nan_is_noted_and_not_raised():
    head = _head()
    levels, samples = _features()
    head.loss(levels, samples)
    assert head.nonfinite_iter == -1
    levels[1].fill_(float('nan'))
    for _ in range(2):
        head.loss(levels, samples)
    assert head.nonfinite_iter == 1


@pytest.mark.parametrize('warmup_iters', [0, 9])
def test_head__nan_never_enters_the_bank(warmup_iters):
    head = _head(warmup_iters=warmup_iters)
    levels, samples = _features()
    levels[1][0] = float('inf')  # BN spreads it over the batch
    head.loss(levels, samples)
    assert head.nonfinite_iter == 0
    assert head.bank.keys.isfinite().all()
    assert head.bank.written.sum() == 0


def test_head__zero_of_a_projection_without_parameters():
    head = _head(warmup_iters=9)
    for parameter in head.parameters():
        parameter.requires_grad_(False)
    levels, samples = _features()
    assert torch.is_tensor(head.loss(levels, samples)['loss_pixel_contrast'])


@pytest.mark.parametrize('change, text', [
    (dict(projection=dict(type='mmpixsort.ProjectionHead', embed_dims=3)),
     '`embed_dims` of mmpixsort.ProjectionHead must be 8'),
    (dict(keys=dict(scope='bank', gather=True)),
     '`keys.gather` must be False'),
    (dict(in_channels=0), '`in_channels` must be at least 1'),
    (dict(source='neck'), "`source` must be 'decoder', .* got 'neck'"),
    (dict(keys=dict(scope='all')), '`keys.scope` must be one of'),
    (dict(bank=None, keys=dict(scope='bank')), '`bank` must be given'),
    (dict(warmup_iters=-1), '`warmup_iters` must be at least 0'),
    (dict(bank=dict(type='mmpixsort.ClassQueue', capacity=3,
                    num_classes=7)),
     '`num_classes` of mmpixsort.ClassQueue must be 4'),
    (dict(bank=dict(type='mmpixsort.ClassQueue', capacity=0)),
     '`capacity` must be at least 1'),
    (dict(loss=dict(type='mmpixsort.PixelContrastLoss', temperature=-1.)),
     '`temperature` must be positive'),
])
def test_head__bad_config(change, text):
    with pytest.raises(ValueError, match=text):
        _head(**change)


@pytest.mark.parametrize('change, text', [
    (dict(source=5), r'`source` must lie in \[0, 2\)'),
    (dict(source=[]), r'`source` must be one or several integers, got \[\]'),
    (dict(in_channels=8), '`in_channels` must be 16'),
    (dict(source='decoder'), "`source` 'decoder' needs a decode head"),
])
def test_head__wrong_feature(change, text):
    levels, samples = _features()
    with pytest.raises(ValueError, match=text):
        _head(**change).loss(levels, samples)
