"""Small host models that a metric head is attached to.

The hosts are imported when a case needs one.
"""
import warnings
from typing import List, Optional, Sequence

import torch
from torch import Tensor, nn

from benchmarks.inputs import label_maps


def config(num_classes: int, embed_dims: int,
           capacity: Optional[int] = None, base_channels: int = 64) -> dict:
    """Return the config of an FCN on ResNet-18 of stride 8.

    Args:
        num_classes: C.
        embed_dims: D of the metric head.
        capacity: Slots of the bank; None: there is no bank.
        base_channels: Channels of the first stage; 64 in ResNet-18.
    """
    norm = dict(type='BN')
    bank = None if capacity is None else dict(
        type='mmpixsort.ClassQueue', capacity=capacity)
    return dict(
        type='mmpixsort.MetricEncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor'),
        backbone=dict(
            type='ResNet', depth=18, base_channels=base_channels,
            strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), norm_cfg=norm,
            contract_dilation=True),
        decode_head=dict(
            type='FCNHead', in_channels=8 * base_channels, in_index=3,
            channels=2 * base_channels, num_convs=2, dropout_ratio=0.,
            num_classes=num_classes, norm_cfg=norm,
            loss_decode=dict(type='CrossEntropyLoss')),
        metric_head=dict(
            type='mmpixsort.PixelContrastHead',
            in_channels=8 * base_channels, source=3, num_classes=num_classes,
            embed_dims=embed_dims, warmup_iters=0, bank=bank,
            projection=dict(type='mmpixsort.ProjectionHead', norm_cfg=norm)),
        train_cfg=dict(), test_cfg=dict(mode='whole'))


def plain(attached: dict) -> dict:
    """Return the config of the host alone."""
    host = {key: value for key, value in attached.items()
            if key != 'metric_head'}
    return dict(host, type='EncoderDecoder')


def build(model: dict, scope: str = 'mmseg') -> nn.Module:
    """Build a model of a config with weights of a seed."""
    from mmengine.config import ConfigDict
    from mmengine.registry import MODELS, DefaultScope
    with DefaultScope.overwrite_default_scope(scope), \
            warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of the host, about its own parts
        torch.manual_seed(0)
        return MODELS.build(ConfigDict(model))


def segmentation_samples(labels: Tensor) -> List:
    """Return data samples of label maps (B, H, W)."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample
    shape = tuple(labels.shape[1:])
    meta = dict(img_shape=shape, ori_shape=shape, pad_shape=shape)
    return [
        SegDataSample(gt_sem_seg=PixelData(data=one[None]), metainfo=meta)
        for one in labels
    ]


def batch(count: int, size: Sequence[int], num_classes: int,
          device: torch.device):
    """Return images (B, 3, H, W) and their data samples."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, *size, generator=generator)
    labels = label_maps(count, num_classes, size)
    return images.to(device), segmentation_samples(labels.to(device))
