"""A small panoptic detector on street scenes, for banks of instances."""
from pathlib import Path

import tiny_instances as tiny
import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/panoptic_segsort/panoptic-segsort_fpn-mnv2_' \
    '1xb4-600it_street-scenes.py'
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
