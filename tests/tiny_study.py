"""Parts of the tiny study that its processes import."""
import os
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module(force=True)
class TinyBackbone(nn.Module):
    """One convolution of stride 4."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 4, stride=4)

    def init_weights(self):
        """Keep the random weights of the constructor."""

    def forward(self, images):
        return [self.layer(images / 4).relu()]


@HOOKS.register_module(force=True)
class PauseHook(Hook):
    """Wait at an iteration for as long as a file exists, to be killed."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        pause = Path('pause')
        while runner.iter == 7 and pause.exists():
            Path('paused').write_text(str(os.getpid()))
            time.sleep(.05)
