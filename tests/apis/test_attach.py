"""The rule, the overrides, the hooks and the file of `attach`."""
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from apis.hosts import load_host, shrink
from apis.training import build, train_step
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS

from mmpixsort.apis import Method, attach, attach_file, register_method
from mmpixsort.apis.attach import methods
from mmpixsort.apis.attach.attachment import load_config
from mmpixsort.apis.attach.config_file import summary
from mmpixsort.apis.attach.host_probe import probe, without_weights
from mmpixsort.apis.attach.methods import METHODS

DEEPLAB = 'deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024.py'
HRNET = 'hrnet/fcn_hr48_4xb2-40k_cityscapes-512x1024.py'
OCR = 'ocrnet/ocrnet_hr48_4xb2-40k_cityscapes-512x1024.py'
SEGFORMER = 'segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py'
MNV2 = 'mobilenet_v2/mobilenet-v2-d8_fcn_4xb2-80k_cityscapes-512x1024.py'
UNET = 'unet/unet-s5-d16_fcn_4xb4-40k_drive-64x64.py'
SEGNEXT = 'segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py'
STDC = 'stdc/stdc1_4xb12-80k_cityscapes-512x1024.py'
MASK = 'segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py'


@pytest.mark.parametrize('name, kind, expected', [
    (DEEPLAB, 'MetricEncoderDecoder',
     dict(source=3, in_channels=2048, num_classes=19)),
    (HRNET, 'MetricEncoderDecoder',
     dict(source=[0, 1, 2, 3], in_channels=720, num_classes=19)),
    (OCR, 'MetricCascadeEncoderDecoder',
     dict(source=[0, 1, 2, 3], in_channels=720, num_classes=19)),
    (SEGFORMER, 'MetricEncoderDecoder',
     dict(source='decoder', in_channels=256, num_classes=19)),
])
def test_attach__finds_the_place(name, kind, expected):
    model = attach(f'mmseg::{name}').model
    assert model.type == f'mmpixsort.{kind}'
    assert model.metric_head == dict(
        type='mmpixsort.PixelContrastHead', warmup_iters=5000, **expected)


def test_attach__keeps_the_norm_of_the_host():
    def norm(name):
        projection = attach(f'mmseg::{name}').model.metric_head.projection
        return projection.norm_cfg

    assert norm(STDC) == dict(type='BN')
    assert norm(SEGNEXT) == dict(type='GN', num_groups=32)


def test_attach__merges_overrides():
    cfg = attach(
        f'mmseg::{MNV2}',
        'pixel-contrast',
        bank=dict(capacity=7),
        loss=dict(temperature=0.2),
        miner=dict(strategy='hardest'),
        embed_dims=32,
        warmup_iters=3)
    head = build(cfg).metric_head
    assert head.bank.capacity == 7 and head.bank.embed_dims == 32
    assert head.loss_module.temperature == 0.2
    assert head.miner.strategy == 'hardest'
    assert head.warmup_iters == 3


def test_attach__merges_a_part_that_it_fitted():
    projection = attach(
        f'mmseg::{STDC}',
        projection=dict(linear=True)).model.metric_head.projection
    assert projection == dict(
        type='mmpixsort.ProjectionHead', norm_cfg=dict(type='BN'), linear=True)


@pytest.mark.parametrize('overrides, channels', [
    (dict(source=1), 512),
    (dict(source=[0, 1]), 768),
    (dict(source='decoder'), 512),
])
def test_attach__takes_another_place(overrides, channels):
    head = attach(f'mmseg::{DEEPLAB}', **overrides).model.metric_head
    assert head.in_channels == channels


@pytest.mark.parametrize('name, overrides, message', [
    (DEEPLAB, dict(weight=1.), r"arguments \['in_channels'.*got \['weight'\]"),
    (DEEPLAB, dict(loss=dict(tau=1.)),
     r"arguments \['temperature'.*got \['tau'\]"),
    (DEEPLAB, dict(bank=dict(capacity=0)), '`capacity`'),
    (DEEPLAB, dict(source=7), r'`source`.*3: 2048 channels.*got 7'),
    (DEEPLAB, dict(in_channels=3), '`in_channels` must be 2048'),
    (DEEPLAB, dict(num_classes=3), '`num_classes` must be 19'),
    (DEEPLAB, dict(bank=dict(capacity=9, num_classes=3)), '`num_classes`'),
    (DEEPLAB, dict(warmup_iters=40000), 'got 40000, .* to 5000'),
    (MASK, dict(source='decoder'), "`source` 'decoder'"),
])
def test_attach__refuses_what_does_not_fit(name, overrides, message):
    with pytest.raises(ValueError, match=message):
        attach(f'mmseg::{name}', **overrides)


def test_attach__names_a_missing_file():
    with pytest.raises(FileNotFoundError, match='mmseg::folder'):
        attach('no/such/config.py')


def test_attach__names_the_known_methods():
    with pytest.raises(ValueError, match=r"\['pixel_contrast'.*got 'none'"):
        attach(f'mmseg::{DEEPLAB}', 'none')


def test_attach__refuses_what_is_attached():
    cfg = attach(f'mmseg::{MNV2}')
    with pytest.raises(ValueError, match='may be a list'):
        attach(cfg)


def test_attach__says_what_a_detector_does_instead():
    with pytest.raises(ValueError, match='PanopticSegSort, take the `back'):
        attach('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')


def test_attach__leaves_the_config_and_random_states_alone():
    cfg = load_host(MNV2)
    text = cfg.pretty_text
    states = [torch.get_rng_state(), np.random.get_state()[1].copy(),
              random.getstate()]
    attach(cfg)
    assert cfg.pretty_text == text
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


@pytest.mark.parametrize('schedule, expected', [
    (dict(type='IterBasedTrainLoop', max_iters=20000), 2500),
    (dict(type='IterBasedTrainLoop', max_iters=600), 75),
    (dict(type='IterBasedTrainLoop', max_iters=160000), 5000),
    (dict(by_epoch=True, max_epochs=32), 64),
])
def test_attach__scales_the_warmup(schedule, expected):
    cfg = load_host(MNV2)
    cfg.train_cfg = schedule
    # 16 iterations an epoch
    cfg.train_dataloader = dict(
        batch_size=2,
        dataset=dict(
            type='mmpixsort.StreetScenesDataset', num_images=31, pipeline=[]))
    assert attach(cfg).model.metric_head.warmup_iters == expected


def test_attach__asks_for_the_warmup_of_unknown_epochs():
    cfg = load_host(MNV2)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=32)
    with pytest.raises(ValueError, match='`warmup_iters` must be given'):
        attach(cfg)
    head = attach(cfg, warmup_iters=9).model.metric_head
    assert head.warmup_iters == 9


@pytest.mark.parametrize('num_classes', [1, 2])
def test_attach__takes_a_binary_head(num_classes):
    cfg = shrink(load_host(UNET))
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.update(
            num_classes=num_classes,
            out_channels=1,
            threshold=0.3,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
    attached = attach(cfg, warmup_iters=0, bank=dict(capacity=8))
    assert attached.model.metric_head.num_classes == 2
    model = build(attached)
    assert train_step(model, 64, num_classes=2)['loss_pixel_contrast'] > 0
    # both classes have keys
    assert (model.metric_head.bank.written > 0).all()


@pytest.fixture
def base_with_hooks(tmp_path):
    """A config with an EMAHook and a hook of its own, in a file."""
    base = tmp_path / 'base.py'
    base.write_text(f"_base_ = 'mmseg::{MNV2}'\n"
                    "custom_hooks = [dict(type='EMAHook', momentum=0.01),"
                    " dict(type='EmptyCacheHook')]\n")
    return base


def test_attach__keeps_custom_hooks(base_with_hooks):
    hooks = [hook.type for hook in attach(base_with_hooks).custom_hooks]
    assert hooks == ['EMAHook', 'EmptyCacheHook', 'mmpixsort.MemoryBankHook']


def test_attach_file__keeps_custom_hooks(base_with_hooks, tmp_path):
    out = tmp_path / 'configs' / 'attached.py'
    attach_file(base_with_hooks, out=out)
    assert "_base_ = '../base.py'" in out.read_text()
    expected = attach(base_with_hooks)
    assert Config.fromfile(out).to_dict() == expected.to_dict()


@pytest.mark.parametrize('name', [OCR, SEGFORMER, STDC])
def test_attach_file__is_short_and_equals_attach(name, tmp_path):
    overrides = dict(bank=dict(capacity=9), loss=dict(loss_weight=0.2))
    out = tmp_path / 'attached.py'
    attach_file(f'mmseg::{name}', out=out, **overrides)
    text = out.read_text()
    assert len(text.splitlines()) < 25
    assert max(map(len, text.splitlines())) < 80
    expected = attach(f'mmseg::{name}', **overrides)
    assert Config.fromfile(out).to_dict() == expected.to_dict()


def test_attach_file__overwrites_only_when_told(tmp_path):
    out = tmp_path / 'attached.py'
    out.write_text('mine')
    with pytest.raises(FileExistsError, match='force'):
        attach_file(f'mmseg::{MNV2}', out=out)
    assert out.read_text() == 'mine'
    attach_file(f'mmseg::{MNV2}', out=out, force=True)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize('name', ['attached.yaml', 'v1.2_attached.py'])
def test_attach_file__refuses_names_that_cannot_be_inherited(name, tmp_path):
    with pytest.raises(ValueError, match='other dot'):
        attach_file(f'mmseg::{MNV2}', out=tmp_path / name)


def test_attach_file__leaves_nothing_after_a_failure(tmp_path):
    with pytest.raises(ValueError):
        attach_file(f'mmseg::{MNV2}', out=tmp_path / 'a.py', weight=1.)
    assert not list(tmp_path.iterdir())


def test_register_method__adds_to_attach(monkeypatch):
    monkeypatch.setattr(methods, 'METHODS', dict(METHODS))
    register_method(
        'linear_contrast', METHODS['pixel_contrast']._replace(hooks=()))
    cfg = attach(f'mmseg::{MNV2}', 'linear-contrast')
    assert cfg.custom_hooks == []
    with pytest.raises(ValueError, match='must be new'):
        register_method('linear_contrast', Method(head='X', parts={}))


def test_probe__takes_images_of_other_channels():
    cfg = shrink(load_host(DEEPLAB))
    cfg.model.backbone.in_channels = 5
    cfg.model.data_preprocessor.update(mean=[0.] * 5, std=[1.] * 5)
    assert probe(cfg).error is None


def test_probe__reports_a_host_that_does_not_run():
    cfg = shrink(load_host(MNV2))
    cfg.model.data_preprocessor.size = (64, 64)
    cfg.model.decode_head.in_channels = 321
    host = probe(cfg)
    assert isinstance(host.error, RuntimeError)
    assert host.levels[3].shape[1] == 320


def small_mnv2():
    cfg = shrink(load_host(MNV2))
    cfg.model.data_preprocessor.size = (64, 64)
    return cfg


@pytest.mark.parametrize('part', ['decode_head', 'auxiliary_head'])
@pytest.mark.parametrize('overrides', [dict(), dict(source=3)])
def test_attach__refuses_a_host_that_does_not_train(part, overrides):
    cfg = small_mnv2()
    cfg.model[part].in_channels += 1
    wrong = f'{cfg.model[part].in_channels} channels'
    with pytest.raises(ValueError, match=f'RuntimeError: .*{wrong}.*repair'):
        attach(cfg, **overrides)


@MODELS.register_module(force=True)
class DepthHead(FCNHead):
    """An auxiliary head that learns from an annotation of its own."""

    def loss(self, inputs, batch_data_samples, train_cfg):
        return dict(loss_depth=sum(
            sample.gt_depth_map.data for sample in batch_data_samples))


@MODELS.register_module(force=True)
class FaultyHead(FCNHead):
    """An auxiliary head with a slip of the pen."""

    def loss(self, inputs, batch_data_samples, train_cfg):
        return dict(loss_faulty=self.no_such_layer(inputs))


def test_attach__warns_where_the_step_cannot_be_tried():
    cfg = small_mnv2()
    cfg.model.auxiliary_head.type = 'DepthHead'
    with pytest.warns(UserWarning, match='could not be tried.*gt_depth_map'):
        head = attach(cfg).model.metric_head
    assert head.in_channels == 320
    with pytest.warns(UserWarning), pytest.raises(
            ValueError, match="must run a training step.*3: 320"):
        attach(cfg, source='decoder')


def test_attach__takes_no_slip_of_the_pen_for_lacking_data():
    cfg = small_mnv2()
    cfg.model.auxiliary_head.type = 'FaultyHead'
    with pytest.raises(ValueError, match="AttributeError: .*no_such_layer"):
        attach(cfg)


def test_probe__raises_where_the_backbone_does_not_run():
    cfg = shrink(load_host(MNV2))
    cfg.model.data_preprocessor.size = (64, 64)
    cfg.model.backbone = dict(type='BEiT', img_size=32, num_layers=1)
    with pytest.raises(ValueError, match=r'\(64, 64\).*without the metric'):
        probe(cfg)


def test_without_weights__keeps_the_rest():
    model = dict(
        pretrained='a.pth',
        backbone=dict(type='X', init_cfg=dict(checkpoint='b.pth')),
        heads=[dict(init_cfg=dict(type='Normal'), channels=3)])
    assert without_weights(model) == dict(
        pretrained=None, backbone=dict(type='X'), heads=[dict(channels=3)])


def test_load_config__reads_prefixes():
    assert load_config(f'mmseg::{MNV2}').model.backbone.type == 'MobileNetV2'


PLAIN = Path(__file__).resolve().parents[2] / (
    'configs/plain/plain_fcn-mnv2_1xb4-600it_street-scenes.py')


def test_attach__brings_the_prediction_of_segment_sorting(tmp_path):
    out = tmp_path / 'sorting.py'
    found = attach_file(PLAIN, 'segsort', out=out)
    cfg = Config.fromfile(out)
    assert cfg.to_dict() == attach(PLAIN, 'segsort').to_dict()
    assert cfg.model.test_cfg == dict(
        mode='whole', retrieval=dict(num_neighbors=15))
    assert [hook.type for hook in cfg.custom_hooks] == [
        'mmpixsort.MemoryBankHook', 'mmpixsort.PrototypeBankHook']
    text = summary(found, out)
    for part in ('bank:    none', 'vote of the 15 nearest',
                 f'build_bank.py {out} CHECKPOINT --out x.bank',
                 f'test.py {out} CHECKPOINT --cfg-options '
                 'model.test_cfg.retrieval.bank=x.bank'):
        assert part in text


def test_attach__segment_sorting_validates_by_retrieval(tmp_path):
    cfg = attach(PLAIN, 'segsort', warmup_iters=0)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].update(num_workers=0)
        cfg[f'{split}_dataloader'].pop('persistent_workers', None)
        cfg[f'{split}_dataloader'].dataset.update(
            num_images=2, size=(64, 96))
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.model = without_weights(cfg.model)
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = 'segsort_attached'
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.model.retrieval.is_loaded  # asked in validation


@pytest.mark.parametrize('overrides, expected', [
    (dict(), 'bank:    none'),
    (dict(bank=dict(capacity=7)), 'bank:    ClassQueue of capacity 7'),
])
def test_attach__says_which_bank_the_loss_has(overrides, expected, tmp_path):
    out = tmp_path / 'a.py'
    found = attach_file(f'mmseg::{MNV2}', out=out, **overrides)
    text = summary(found, out)
    assert expected in text and 'as the host does' in text
    assert f'# Bank of the loss: {expected[9:]}' in out.read_text()
    assert 'build_bank' not in text


PURE = """
from mmseg.models import EncoderDecoder, SegDataPreProcessor
from mmseg.models.backbones import ResNetV1c
from mmseg.models.decode_heads import FCNHead
from mmseg.models.losses import CrossEntropyLoss

model = dict(
    type=EncoderDecoder,
    data_preprocessor=dict(type=SegDataPreProcessor, size=(64, 64)),
    backbone=dict(
        type=ResNetV1c, depth=18, out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN')),
    decode_head=dict(
        type=FCNHead, in_channels=512, in_index=3, channels=8, num_convs=1,
        concat_input=False, num_classes=5, norm_cfg=dict(type='BN'),
        loss_decode=dict(type=CrossEntropyLoss)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_cfg = dict(max_iters=1000)
default_scope = 'mmseg'
"""


@pytest.mark.parametrize('method', ['pixel_contrast', 'segsort'])
def test_attach__to_a_pure_python_config(tmp_path, method):
    """Types are classes; a text config cannot inherit from it."""
    path = tmp_path / 'host.py'
    path.write_text(PURE)
    cfg = attach(path, method)
    assert cfg.model.type == 'mmpixsort.MetricEncoderDecoder'
    losses = train_step(build(cfg), 64)
    assert any('loss' in name for name in losses)
    attach_file(path, method, out=tmp_path / 'new.py')
    written = Config.fromfile(tmp_path / 'new.py')
    assert written.model == cfg.model
    assert written.custom_hooks == cfg.custom_hooks
