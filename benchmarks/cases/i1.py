"""Inference of a model that was trained with a metric head."""
from typing import Dict, List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal

from . import hosts


def inference(name: str, count: int, size, *, num_classes: int = 19,
              embed_dims: int = 256, base_channels: int = 64,
              target: str = '') -> Setup:
    """Return a setup of the host and of the same with a metric head."""

    def build(device: torch.device) -> Trial:
        config = hosts.config(num_classes, embed_dims, 100, base_channels)
        attached = hosts.build(config).to(device).eval()
        host = hosts.build(hosts.plain(config)).to(device).eval()
        host.load_state_dict({
            key: value for key, value in attached.state_dict().items()
            if not key.startswith('metric_head.')})
        images, _ = hosts.batch(count, size, num_classes, device)

        @torch.no_grad()
        def ours() -> Tensor:
            return attached(images)

        @torch.no_grad()
        def peer() -> Tensor:
            return host(images)

        def facts() -> Dict[str, float]:
            return {'operations more than the host': float(
                _flops(ours) - _flops(peer))}

        return Trial(ours, peer, lambda: [
            Equal('logits', ours(), peer(), 0.)], facts)

    return Setup(
        name, f'ResNet-18 of stride 8, B {count}, {size[0]} x {size[1]}',
        build, peer='the host alone', target=target)


def _flops(step) -> int:
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [inference('tiny', 1, (32, 64), num_classes=3, embed_dims=8,
                          base_channels=8)]
    return [inference('logits', 1, (256, 512), target='1.00x, bit-equal')]


CASE = Case('I1', 'inference with and without the metric head', setups)
