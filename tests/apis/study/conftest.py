"""A study whose runs take seconds: noisy blocks and a small network."""
import pytest

HOST = """
import sys
sys.path.insert(0, {tests!r})
custom_imports = dict(imports=['tiny', 'tiny_study'])
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(32, 32), seg_pad_val=255),
    backbone=dict(type='TinyBackbone'),
    decode_head=dict(
        type='FCNHead', in_channels=8, in_index=0, channels=8, num_convs=1,
        num_classes=4, dropout_ratio=0.1, norm_cfg=dict(type='BN')),
    test_cfg=dict(mode='whole'))
loader = dict(
    batch_size=2, num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='NoisyBlocks', num_images=8))
train_dataloader = loader
val_dataloader = dict(
    batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='NoisyBlocks', num_images=4, noise=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
train_cfg = dict(type='IterBasedTrainLoop', max_iters=12, val_interval=6)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=.05))
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=2),
    checkpoint=dict(type='CheckpointHook', interval=100, by_epoch=False))
custom_hooks = [dict(type='PauseHook')]
"""

CONTRAST = """
_base_ = './host.py'
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        type='mmpixsort.PixelContrastHead', in_channels=8, source=0,
        num_classes=4, embed_dims=4, warmup_iters=0,
        bank=dict(type='mmpixsort.ClassQueue', capacity=8)))
"""

STUDY = """
base = 'host.py'
arms = dict(
    plain=dict(),
    contrast=dict(config='contrast.py'))
seeds = (0, 1)
scores = ('mIoU', 'aAcc')
average = dict(last=2, interval=2)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, repo_root):
    """A work directory with two configs and the file of a study."""
    host = HOST.format(tests=str(repo_root / 'tests'))
    (tmp_path / 'host.py').write_text(host)
    (tmp_path / 'contrast.py').write_text(CONTRAST)
    (tmp_path / 'study.py').write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path
