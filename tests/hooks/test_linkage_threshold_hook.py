"""LinkageThresholdHook in real validation and test loops."""
import random

import numpy as np
import pytest
import tiny_instances as tiny
import torch
from calls import count_calls
from mmengine.hooks import EMAHook
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from mmpixsort.det import PanopticSegSortHead
from mmpixsort.hooks import LinkageThresholdHook


@DATASETS.register_module(force=True)
class PanopticBlobs(torch.utils.data.Dataset):
    """Images with squares of two classes before two kinds of stuff."""

    metainfo = dict(classes=('a', 'b', 'c', 'd'), thing_classes=('a', 'b'),
                    stuff_classes=('c', 'd'))

    built = 0

    def __init__(self, num_images=4, noise=0.):
        self.num_images, self.noise = num_images, noise
        PanopticBlobs.built += 1

    def __len__(self):
        return self.num_images

    def __getitem__(self, index):
        image, sample = tiny.item((24, 40), index)
        if self.noise:  # an augmentation that draws from all there is
            image = image + self.noise * (
                random.random() + np.random.rand() + torch.rand(()))
        return dict(inputs=image, data_samples=tiny.with_stuff([sample])[0])


def runner(work_dir, head=(), load_from=None):
    DefaultScope._instance_dict.pop('mmdet', None)
    data = dict(type='PanopticBlobs', _scope_='mmengine')
    loader = dict(dataset=data, batch_size=2, num_workers=0)
    quiet = dict(loader, batch_size=1,
                 sampler=dict(type='DefaultSampler', shuffle=False))
    metric = dict(type='mmpixsort.PanopticQualityMetric')
    return Runner(
        model=tiny.panoptic(head), work_dir=str(work_dir),
        default_scope='mmdet', experiment_name=f'{work_dir.name}',
        train_dataloader=dict(
            loader, sampler=dict(type='InfiniteSampler', shuffle=True)),
        train_cfg=dict(
            type='IterBasedTrainLoop', max_iters=2, val_interval=2),
        val_dataloader=quiet, val_cfg=dict(), val_evaluator=metric,
        test_dataloader=quiet, test_cfg=dict(), test_evaluator=metric,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.01)),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=2)),
        custom_hooks=[
            dict(type='mmpixsort.MemoryBankHook'),
            dict(type='mmpixsort.LinkageThresholdHook', num_images=3)],
        log_level='WARNING', load_from=load_from, cfg=dict(
            train_dataloader=loader),
        visualizer=dict(type='Visualizer', vis_backends=[]))


FINE = dict(cut=dict(cell_area=1.), bank=dict(
    type='mmpixsort.PrototypeQueue', capacity=64, num_iterations=1))


def test_hook__measures_and_the_checkpoint_keeps(tmp_path, monkeypatch):
    run = runner(tmp_path / 'train', FINE)
    run.train()
    threshold = run.model.head.threshold
    assert -1 < threshold < 1
    rest = runner(tmp_path / 'test', FINE)
    rest.model.load_state_dict(run.model.state_dict())
    monkeypatch.setattr(PanopticSegSortHead, 'pair_statistics', None)
    scores = rest.test()  # nothing to measure
    assert rest.model.head.threshold == threshold
    assert 0 <= scores['PQ'] <= 100


def test_hook__checkpoint_repeats_its_validation(tmp_path, monkeypatch):
    calls = count_calls(
        PanopticSegSortHead, 'pair_statistics', monkeypatch.setattr)
    run = runner(tmp_path / 'train', FINE)
    run.train()
    # its three images for the checkpoint, and not again to validate
    measured = len(calls)
    assert sum(options['touching'] for _, options in calls) == 3
    path = tmp_path / 'train' / 'iter_2.pth'
    saved = torch.load(path, weights_only=True)['state_dict']
    assert saved['head.threshold'] == run.model.head.threshold
    assert saved['head.threshold_iter'] == 2
    rest = runner(tmp_path / 'test', FINE, load_from=str(path))
    rest.test()
    assert len(calls) == measured
    assert rest.model.head.threshold == saved['head.threshold']


def test_hook__measures_again_for_other_weights(tmp_path):
    run = runner(tmp_path / 'train', FINE)
    run.train()
    path = tmp_path / 'train' / 'iter_2.pth'
    content = torch.load(path, weights_only=True)
    right = content['state_dict']['head.threshold'].clone()
    content['state_dict']['head.threshold'].fill_(.123)
    content['state_dict']['head.threshold_iter'].fill_(1)
    torch.save(content, tmp_path / 'other.pth')
    rest = runner(tmp_path / 'test', FINE,
                  load_from=str(tmp_path / 'other.pth'))
    rest.test()
    assert rest.model.head.threshold == pytest.approx(float(right))


def test_hook__under_ema_is_of_the_averaged_weights(tmp_path):
    run = runner(tmp_path / 'train', FINE)
    run.register_hook(EMAHook(momentum=.5))
    run.train()
    path = tmp_path / 'train' / 'iter_2.pth'
    saved = torch.load(path, weights_only=True)['state_dict']
    assert saved['head.threshold_iter'] == -1
    rest = runner(tmp_path / 'test', FINE, load_from=str(path))
    rest.test()
    assert -1 <= rest.model.head.threshold <= 1
    assert rest.model.head.threshold_iter == 2


def test_hook__leaves_a_given_threshold(tmp_path):
    run = runner(tmp_path / 'given', dict(FINE, rules=dict(threshold=.3)))
    run.val()
    assert run.model.head.threshold == 2


def test_hook__without_pairs_takes_a_half(tmp_path):
    run = runner(tmp_path / 'coarse', dict(cut=dict(cell_area=1e6)))
    run.val()
    assert run.model.head.threshold == .5


def states():
    return (random.getstate(), np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist())


def test_hook__repeats_and_leaves_the_random_states(tmp_path):
    run = runner(tmp_path / 'repeat', FINE)
    noisy = dict(type='PanopticBlobs', _scope_='mmengine', noise=40.)
    hook = LinkageThresholdHook(num_images=3, dataset=noisy)
    before, built = states(), PanopticBlobs.built
    hook.before_val_epoch(run)
    first = float(run.model.head.threshold)
    assert states() == before and -1 < first < 1
    torch.rand(3), np.random.rand(3), random.random()
    hook.before_val_epoch(run)
    assert float(run.model.head.threshold) == first
    assert PanopticBlobs.built == built + 1
    LinkageThresholdHook(num_images=3).before_val_epoch(run)
    assert float(run.model.head.threshold) != first  # without the noise


def test_hook__without_a_training_set(tmp_path):
    run = runner(tmp_path / 'no_train', FINE)
    run.cfg.pop('train_dataloader')
    with pytest.raises(ValueError, match='`train_dataloader` must be in the'):
        run.val()
    run = runner(tmp_path / 'no_need', dict(FINE, rules=dict(threshold=.3)))
    run.cfg.pop('train_dataloader')
    assert 0 <= run.val()['PQ'] <= 100


@pytest.mark.parametrize('sums, want', [
    (dict(touching=[[2., .4], [4, 2]]), .35),
    # no two instances touch: all pairs
    (dict(touching=[[2., 0.], [4, 0]], everything=[[1.6, .6], [4, 3]]), .3)])
def test_hook__pairs_that_touch_and_else_all(tmp_path, monkeypatch, sums,
                                             want):
    run = runner(tmp_path / f'pairs{want}', FINE)
    calls = []

    def fake(levels, samples, *, touching):
        calls.append(touching)
        return torch.tensor(
            sums['touching' if touching else 'everything']).double()

    monkeypatch.setattr(run.model.head, 'pair_statistics', fake)
    LinkageThresholdHook(num_images=1).before_val_epoch(run)
    assert float(run.model.head.threshold) == pytest.approx(want)
    assert calls == [True, False][:len(sums)]


def test_hook__bad_option():
    with pytest.raises(ValueError, match='`num_images` must'):
        LinkageThresholdHook(num_images=0)
