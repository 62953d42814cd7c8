"""Layout changes, values do not."""
from types import SimpleNamespace

import tiny
import torch

from mmpixsort.hooks import ChannelsLastHook


def test_run__has_another_layout_and_the_same_losses():
    images, samples = tiny.batch(2)
    losses = []
    for hook in (None, ChannelsLastHook()):
        config = tiny.attached()
        config.decode_head.dropout_ratio = 0.
        model = tiny.build(config)
        if hook is not None:
            hook.before_run(SimpleNamespace(model=model))
        losses.append(model.train().loss(images, samples))
    kernel = model.backbone.conv1.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        assert torch.allclose(value, losses[1][name], rtol=1e-4), name
