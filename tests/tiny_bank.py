"""Small models on street scenes, for banks of segments and of instances."""
from pathlib import Path

import tiny_instances as tiny
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmpixsort.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/panoptic_segsort/panoptic-segsort_fpn-mnv2_' \
    '1xb4-600it_street-scenes.py'
SEGMENT_CONFIG = ROOT / 'configs/segsort/segsort_fcn-mnv2_1xb4-600it_' \
    'street-scenes.py'
IMAGES = 20  # two parts
SIZE = (60, 90)  # padded to (64, 96)


def small_config(head=()):
    """Return the config of street scenes with a small model and images."""
    cfg = Config.fromfile(CONFIG)
    cfg.model = tiny.panoptic(dict(
        dict(num_things=6, num_stuff=5, rules=dict(threshold=.5)),
        **dict(head)))
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.update(
            num_images=IMAGES, size=SIZE)
    return cfg


def save_run(folder, seed=0, name='weights.pth'):
    """Write the config, and untrained weights of a seed."""
    cfg = small_config()
    cfg.dump(folder / 'small.py')
    torch.manual_seed(seed)
    model = tiny.build_config(cfg.model)
    torch.nn.init.normal_(model.head.conv_seg.weight, std=1. + seed)
    torch.save(dict(state_dict=model.state_dict()), folder / name)
    return cfg


def segment_config():
    """Return the config of segment sorting with small images."""
    cfg = Config.fromfile(SEGMENT_CONFIG)
    for split in ('train', 'test'):
        cfg[f'{split}_dataloader'].dataset.update(
            num_images=IMAGES, size=(64, 96))
    # untrained: colours are left in the first level only
    cfg.model.metric_head.update(source=0, in_channels=24)
    cfg.model.test_cfg.retrieval.update(num_neighbors=1, stride=4)
    return cfg


def save_segment_run(folder):
    """Write that config, and untrained weights."""
    cfg = segment_config()
    cfg.dump(folder / 'small.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), folder / 'weights.pth')
    return cfg
