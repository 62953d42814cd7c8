"""Choice of the pixels for which a contrastive loss is computed."""
from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_fraction)
from mmpixsort.functional.contrast.labels import HARDNESS, hard_pixels
from mmpixsort.functional.contrast.sampling import (gather_pixels,
                                                    sample_anchors)
from mmpixsort.registry import MODELS
from mmpixsort.structures import LabeledEmbeddings


@MODELS.register_module()
class HardAnchorSampler(nn.Module):
    """Draw anchors evenly over images and classes, half of them hard.

    This is the "segmentation-aware hard anchor sampling" of Wang et al.
    (https://arxiv.org/abs/2101.11939), section 3.3. The defaults are those of
    the Cityscapes HRNet config in the authors' released code. That code uses
    a class of an image only if it has more than `max_views` pixels, and draws
    an easy pixel if a class gets one anchor. By default neither holds here;
    `faithful=True` restores both.

    Args:
        num_classes: Number of classes C.
        max_samples: Maximum number of anchors of the batch on one rank. The
            result has A = min(max_samples, B * C * max_views) rows.
        max_views: Maximum number of anchors of one class of an image.
        min_pixels: Minimum number of pixels, on the embedding grid, of a
            class of an image; smaller ones get no anchors.
        hardness: Which pixels are hard. 'segmentation': misclassified
            pixels; 'confidence': pixels whose true class has a probability
            below `confidence`; 'random': none, so that anchors are drawn
            uniformly within a class of an image.
        confidence: Probability in (0, 1] for `hardness='confidence'`.
        faithful: Whether to choose the numbers of anchors as the authors'
            released code does. `min_pixels` is then ignored.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1 or the hardness is unknown.

    Example:
        >>> sampler = HardAnchorSampler(num_classes=2, max_samples=4)
        >>> labels = torch.tensor([[[0, 0], [1, -1]]])
        >>> sampler(torch.rand(1, 8, 2, 2), labels).labels
        tensor([ 0,  0,  1, -1])
    """

    def __init__(self,
                 *,
                 num_classes: int,
                 max_samples: int = 1024,
                 max_views: int = 100,
                 min_pixels: int = 1,
                 hardness: str = 'segmentation',
                 confidence: float = 0.97,
                 faithful: bool = False) -> None:
        super().__init__()
        check_count('num_classes', num_classes)
        check_count('max_samples', max_samples)
        check_count('max_views', max_views)
        check_count('min_pixels', min_pixels)
        check_choice('hardness', hardness, HARDNESS)
        check_fraction('confidence', confidence)
        self.num_classes = num_classes
        self.max_samples = max_samples
        self.max_views = max_views
        self.min_pixels = max_views + 1 if faithful else min_pixels
        self.hardness = hardness
        self.confidence = confidence
        self.faithful = faithful

    def pick(
        self,
        labels: Tensor,
        logits: Optional[Tensor] = None,
        generator: Optional[torch.Generator] = None
    ) -> Tuple[Tensor, Tensor]:
        """Return the pixel index (A,) and the label (A,) of the anchors.

        The label of unused rows is -1.

        Args:
            labels: (B, h, w) integer labels; pixels with a label outside
                [0, C) are ignored.
            logits: (B, C, h, w) class logits; None means that no pixel is
                hard.
            generator: Generator of the random draws, on the device of
                `labels`.
        """
        if logits is None:
            hard = torch.zeros_like(labels, dtype=torch.bool)
        else:
            hard = hard_pixels(
                logits.detach(),
                labels,
                hardness=self.hardness,
                confidence=self.confidence)
        return sample_anchors(
            labels,
            hard,
            num_classes=self.num_classes,
            max_samples=self.max_samples,
            max_views=self.max_views,
            min_pixels=self.min_pixels,
            round_hard_up=not self.faithful,
            generator=generator)

    def forward(
            self,
            embeddings: Tensor,
            labels: Tensor,
            logits: Optional[Tensor] = None,
            generator: Optional[torch.Generator] = None) -> LabeledEmbeddings:
        """Return A anchors with their labels; unused rows have label -1.

        Args:
            embeddings: (B, D, h, w) embeddings of the pixels.
            labels: (B, h, w) integer labels, see :meth:`pick`.
            logits: (B, C, h, w) class logits, see :meth:`pick`.
            generator: Generator of the random draws.
        """
        pixel, anchor_labels = self.pick(labels, logits, generator)
        return LabeledEmbeddings(
            gather_pixels(embeddings, pixel), anchor_labels)
