"""Batches of random images and labels, for the cost of a model."""
from typing import List, NamedTuple, Sequence

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmpixsort.apis.attach.host_probe import image_channels, without_weights
from mmpixsort.functional.checks import check_count
from mmpixsort.utils.configs import read_config

CELL = 16  # pixels of a square of one class


class Batch(NamedTuple):
    """Preprocessed images (B, 3, H, W) and their data samples."""

    inputs: Tensor
    data_samples: List


def read_segmentor(path: str, cfg_options: dict) -> Config:
    """Read a config, and refuse one that is not of a segmentor.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the config has no `model.decode_head`.
    """
    cfg = read_config(path)
    cfg.merge_from_dict(cfg_options)
    if 'decode_head' not in cfg.get('model', {}):
        raise ValueError(
            f'`config` must be of a segmentor with a `decode_head`, got '
            f'{path!r}; for detectors use the tools of mmdet, see '
            'docs/tools.md')
    return cfg


def build_segmentor(cfg: Config, device: str) -> nn.Module:
    """Build the segmentor of a config with random weights on a device."""
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    with torch.device(device):
        model = MODELS.build(without_weights(cfg.model))
    return revert_sync_batchnorm(model)


def build_head(cfg: dict) -> nn.Module:
    """Build a metric head with random weights on the CPU."""
    return revert_sync_batchnorm(MODELS.build(without_weights(cfg))).train()


def random_batch(cfg: Config, model: nn.Module, *, size: Sequence[int],
                 num_images: int, device: str = 'cpu') -> Batch:
    """Return random images, with labels in squares of random classes.

    Args:
        cfg: Config of the segmentor.
        model: Segmentor, for the number of its classes.
        size: Height and width of the images.
        num_images: Number of images B.
        device: Device of the images and labels.
    """
    from mmseg.structures import SegDataSample
    check_count('num_images', num_images)
    size = tuple(size)
    for side in size:
        check_count('shape', side)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(num_images, image_channels(cfg), *size,
                         generator=generator)
    cells = torch.randint(
        model.num_classes, (num_images, *(-(-side // CELL) for side in size)),
        generator=generator)
    labels = cells.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)
    labels = labels[:, :size[0], :size[1]].to(device)
    meta = dict(ori_shape=size, img_shape=size, pad_shape=size,
                batch_input_shape=size)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one[None]),
                             metainfo=meta) for one in labels]
    return Batch(inputs.to(device), samples)
