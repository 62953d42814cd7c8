"""Choose the pixels that a contrastive loss is computed for."""
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

    Wang et al. (https://arxiv.org/abs/2101.11939), section 3.3,
    "segmentation-aware hard anchor sampling". The defaults are those of the
    released Cityscapes HRNet configuration. It differs from the released
    code in that a class needs no more than `max_views` pixels to take part,
    and that a single view is a hard one; `faithful=True` takes both back.

    Args:
        num_classes: C.
        max_samples: Most anchors of the batch on one rank; there are
            A = min(max_samples, B C max_views) rows.
        max_views: Most anchors of one image and class.
        min_pixels: Fewest pixels, on the embedding grid, for which a class
            of an image is used.
        hardness: Which pixels are hard: 'segmentation', misclassified
            ones; 'confidence', own class below `confidence`; 'random',
            none, so that anchors are drawn uniformly.
        confidence: Probability below which hardness 'confidence' finds a pixel
            hard, in (0, 1].
        faithful: Use the quotas of the released code.

    Raises:
        ValueError: On a size below 1 or an unknown hardness.

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
        """Return pixel index and label (A,) of anchors, -1: an unused row.

        Args:
            labels: (B, h, w) int64; outside [0, C) a pixel takes no part.
            logits: (B, C, h, w) of the classifier; None: no pixel is hard.
            generator: Source of randomness, on the device of `labels`.
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
        """Return A anchors; an unused row has label -1.

        Args:
            embeddings: (B, D, h, w).
            labels: See :meth:`pick`, as the other two.
            logits: (B, C, h, w).
            generator: Source of randomness.
        """
        pixel, anchor_labels = self.pick(labels, logits, generator)
        return LabeledEmbeddings(
            gather_pixels(embeddings, pixel), anchor_labels)
