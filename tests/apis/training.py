"""Build a model of a config and train one step on random images."""
from typing import Dict, List, Optional

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmpixsort.apis.attach.host_probe import without_weights


def build(cfg) -> nn.Module:
    """Build the model for one process, without weights."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        return revert_sync_batchnorm(MODELS.build(without_weights(cfg.model)))


def make_samples(num_classes: int,
                 size: int,
                 ignored: bool = True) -> List[SegDataSample]:
    """Return two samples of blobs, with an ignored corner or without."""
    samples = []
    for _ in range(2):
        coarse = torch.randint(0, num_classes, (1, 1, 4, 4)).float()
        labels = nn.functional.interpolate(coarse, size=(size, size))[0]
        labels = labels.long()
        if ignored:
            labels[:, :8, :8] = 255
        shape = (size, size)
        sample = SegDataSample(
            metainfo=dict(img_shape=shape, ori_shape=shape, pad_shape=shape))
        sample.gt_sem_seg = PixelData(data=labels)
        sample.gt_edge_map = PixelData(data=labels % 2)
        samples.append(sample)
    return samples


def train_step(model: nn.Module,
               size: int,
               ignored: bool = True,
               num_classes: Optional[int] = None) -> Dict[str, float]:
    """Train one step; check gradients; return the log."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    samples = make_samples(num_classes or model.num_classes, size, ignored)
    losses = model.loss(torch.rand(2, 3, size, size), samples)
    total, log = model.parse_losses(losses)
    total.backward()
    for name, value in log.items():
        assert torch.isfinite(value).all(), name
    for name, parameter in model.metric_head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all(), name
    return {name: value.item() for name, value in log.items()}
