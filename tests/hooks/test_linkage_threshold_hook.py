"""LinkageThresholdHook in real validation and test loops."""
import pytest
import tiny_instances as tiny
import torch
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from mmpixsort.hooks import LinkageThresholdHook


@DATASETS.register_module(force=True)
class PanopticBlobs(torch.utils.data.Dataset):
    """Images with squares of two classes before two kinds of stuff."""

    metainfo = dict(classes=('a', 'b', 'c', 'd'), thing_classes=('a', 'b'),
                    stuff_classes=('c', 'd'))

    def __init__(self, num_images=4):
        self.num_images = num_images

    def __len__(self):
        return self.num_images

    def __getitem__(self, index):
        image, sample = tiny.item((24, 40), index)
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


FINE = dict(cell_area=1., bank=dict(
    type='mmpixsort.PrototypeQueue', capacity=64, num_iterations=1))


def test_hook__measures_and_the_checkpoint_keeps(tmp_path, monkeypatch):
    run = runner(tmp_path / 'train', FINE)
    run.train()
    threshold = run.model.head.threshold
    assert -1 < threshold < 1
    rest = runner(tmp_path / 'test', FINE)
    rest.model.load_state_dict(run.model.state_dict())
    monkeypatch.setattr(LinkageThresholdHook, '_measure', None)
    scores = rest.test()  # nothing to measure
    assert rest.model.head.threshold == threshold
    assert 0 <= scores['PQ'] <= 100


def test_hook__leaves_a_given_threshold(tmp_path):
    run = runner(tmp_path / 'given', dict(FINE, rules=dict(threshold=.3)))
    run.val()
    assert run.model.head.threshold == 2


def test_hook__without_pairs_takes_a_half(tmp_path):
    run = runner(tmp_path / 'coarse', dict(cell_area=1e6))
    run.val()
    assert run.model.head.threshold == .5


def test_hook__bad_option():
    with pytest.raises(ValueError, match='`num_images` must'):
        LinkageThresholdHook(num_images=0)
