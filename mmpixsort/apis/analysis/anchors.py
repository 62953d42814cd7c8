"""Draw the anchors of a batch as a training step draws them.

Shapes: B images, A anchors, C classes, h w size of the embedding map.
"""
from typing import List, NamedTuple, Optional, Sequence, Union

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor
from torch.nn.functional import interpolate

from mmpixsort.apis.attach.host_probe import last_head, without_weights
from mmpixsort.apis.loading import load_weights
from mmpixsort.functional.contrast.labels import hard_pixels, two_class_logits
from mmpixsort.functional.random import keyed_generator
from mmpixsort.layers import tap
from mmpixsort.registry import MODELS


class Anchors(NamedTuple):
    """Anchors of one image.

    Attributes:
        places: (A, 2) x and y, as fractions of the size of the input.
        labels: (A,) classes.
        hard: (A,) bool, True for a pixel that the sampler counts as hard.
    """

    places: Tensor
    labels: Tensor
    hard: Tensor


class AnchorSource:
    """The sampler of a config, and the network that gives it logits.

    Args:
        cfg: Config of a segmentor with a metric head that has a sampler. Of
            several heads the first such one is used.
        checkpoint: Checkpoint of the model. None means that no pixel is hard,
            as if the classifier gave no logits; the draw is then uniform.

    Raises:
        ValueError: If there is no such head, or the checkpoint has no weights
            of the backbone.
    """

    def __init__(self, cfg: Config,
                 checkpoint: Optional[str] = None) -> None:
        self.seed = int((cfg.get('randomness') or {}).get('seed') or 0)
        device = torch.device('meta' if checkpoint is None else 'cpu')
        with device:
            model = MODELS.build(without_weights(cfg.model))
        heads = [head for head in getattr(model, 'metric_heads', ())
                 if getattr(head, 'sampler', None) is not None]
        if not heads:
            raise ValueError(
                'anchors are drawn by the `sampler` of a `metric_head`, and '
                'the config has none: leave the view `anchors` out, or attach '
                'a head with tools/attach.py CONFIG --method pixel-contrast')
        self.device = device
        self.model = revert_sync_batchnorm(model).eval()
        self.head = heads[0]
        if checkpoint is not None:
            load_state_dict(self.model, load_weights(
                checkpoint, prefix='backbone.', remedy='it is of another '
                'model'))

    @torch.no_grad()
    def draw(self, inputs: Tensor, data_samples: Sequence,
             iteration: int = 0) -> List[Anchors]:
        """Return the anchors of each image of a batch.

        Args:
            inputs: Preprocessed images (B, 3, H, W).
            data_samples: Data samples with labels, padded as the images.
            iteration: Iteration of the training, which keys the draw.
        """
        with tap(getattr(last_head(self.model), 'conv_seg', None)) as calls:
            index = self.model.metric_heads.index(self.head)
            embeddings = self.model.extract_embedding(
                inputs.to(self.device), index)
        size = embeddings.shape[2:]
        labels = self.head.labels_on(size, data_samples)
        logits = self._logits(calls, size)
        pixel, label = self.head.sampler.pick(
            labels, logits, keyed_generator(
                self.seed, iteration, 0, labels.device))
        hard = torch.zeros_like(labels, dtype=torch.bool)
        if logits is not None:
            sampler = self.head.sampler
            hard = hard_pixels(logits, labels, hardness=sampler.hardness,
                               confidence=sampler.confidence)
        return [self._of_image(i, pixel, label, hard, size)
                for i in range(len(labels))]

    def _logits(self, calls: List,
                size: Sequence[int]) -> Union[Tensor, None]:
        """Return logits (B, C, h, w) as the head gets them, or None."""
        if self.device.type == 'meta' or not calls or (
                calls[-1][1].dim() != 4):
            return None
        logits = calls[-1][1]
        if logits.shape[1] == 1:
            logits = two_class_logits(
                logits, last_head(self.model).threshold)
        return interpolate(logits, size=tuple(size), mode='bilinear')

    @staticmethod
    def _of_image(image: int, pixel: Tensor, label: Tensor, hard: Tensor,
                  size: Sequence[int]) -> Anchors:
        height, width = size
        of_this = (label >= 0) & (
            pixel.div(height * width, rounding_mode='floor') == image)
        pixel, label = pixel[of_this], label[of_this]
        inside = pixel % (height * width)
        row = inside.div(width, rounding_mode='floor')
        places = torch.stack([(inside % width + .5) / width,
                              (row + .5) / height], 1)
        return Anchors(places, label, hard.flatten()[pixel])
