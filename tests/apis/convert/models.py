"""The shipped configs for converted weights, with small widths."""
import copy
from functools import lru_cache
from pathlib import Path

import torch
from apis.convert.synthetic import BASE, DIMS, TOTAL, WIDTHS
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict

from mmpixsort.apis.attach.host_probe import without_weights
from mmpixsort.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


@lru_cache(maxsize=None)
def _read(path):
    return Config.fromfile(CONFIGS / path)


def _released(model):
    return copy.deepcopy(_read(
        f'pixel_contrast/pixel-contrast_{model}-released_4xb2-40k_'
        'cityscapes-512x1024.py'))


def _narrow_hrnet(cfg):
    for number in (1, 2, 3, 4):
        stage = cfg.model.backbone.extra[f'stage{number}']
        stage.num_modules = 1
        stage.num_blocks = (1, ) * number
        if number > 1:
            stage.num_channels = WIDTHS[:number]
    cfg.model.metric_head.update(in_channels=TOTAL, embed_dims=DIMS)


def hrnet_config(**bank):
    """Config of hrnet_w48_contrast; `bank` holds options of a ClassQueue."""
    cfg = _released('fcn-hr48')
    _narrow_hrnet(cfg)
    cfg.model.decode_head.update(in_channels=list(WIDTHS), channels=TOTAL)
    if bank:
        cfg.model.metric_head.bank = dict(type='mmpixsort.ClassQueue', **bank)
    return cfg


def ocr_config():
    cfg = _released('ocrnet-hr48')
    _narrow_hrnet(cfg)
    fcn, ocr = cfg.model.decode_head
    fcn.update(in_channels=list(WIDTHS), channels=TOTAL)
    ocr.update(in_channels=list(WIDTHS), channels=12, ocr_channels=5)
    return cfg


def _narrow_resnet(cfg):
    cfg.model.backbone.update(
        depth=50, base_channels=BASE, stem_channels=2 * BASE)


def deeplab_config():
    cfg = _released('deeplabv3-r101-d8')
    _narrow_resnet(cfg)
    cfg.model.metric_head.update(in_channels=32 * BASE, embed_dims=DIMS)
    cfg.model.decode_head.update(in_channels=32 * BASE, channels=8)
    cfg.model.auxiliary_head.update(in_channels=16 * BASE, channels=6)
    return cfg


def spml_config(kind):
    cfg = copy.deepcopy(_read(
        f'segsort/segsort_{kind}-r101-d8-spml_4xb4-30k_voc12aug-512x512.py'))
    _narrow_resnet(cfg)
    top = 32 * BASE
    cfg.model.decode_head.update(
        in_channels=top, channels=8 if kind == 'pspnet' else top)
    cfg.model.metric_head.update(
        embed_dims=DIMS, in_channels=8 if kind == 'pspnet' else top)
    return cfg


def load(cfg, path, strict=True):
    """Build the model of a config and load a converted checkpoint."""
    init_default_scope('mmseg')
    torch.manual_seed(3)
    model = revert_sync_batchnorm(MODELS.build(without_weights(cfg.model)))
    weights = torch.load(path, weights_only=True)['state_dict']
    load_state_dict(model, weights, strict=strict)
    return model.eval()
