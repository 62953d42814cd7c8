"""Labels and predictions on the grid of an embedding map.

Shapes: B images, C classes, H W size of the labels, h w size of the grid.
"""
import math
from typing import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmpixsort.functional.checks import check_choice

# direction of a flip -> the sides, from the last, that it turns around
FLIPS = dict(horizontal=(-1, ), vertical=(-2, ), diagonal=(-2, -1))
HARDNESS = ('segmentation', 'confidence', 'random')


def resize_labels(labels: Tensor, size: Sequence[int],
                  ignore_index: int) -> Tensor:
    """Resize a label map to a grid and mark what is ignored with -1.

    Nearest as the released code has it: the top left pixel of each cell for
    an integer ratio.

    Args:
        labels: (B, H, W) integer.
        size: h and w.
        ignore_index: Label that takes no part.

    Returns:
        (B, h, w) int64.

    Example:
        >>> resize_labels(torch.tensor([[[0, 1], [1, 255]]]), (1, 2), 255)
        tensor([[[0, 1]]])
    """
    resized = interpolate(labels[:, None].float(), size=tuple(size))[:, 0]
    resized = resized.long()
    return resized.masked_fill(resized == ignore_index, -1)


def count_labels(num_classes: int, out_channels: int) -> int:
    """Return how many classes the labels of a classifier have.

    One output tells foreground from background: its labels are 0 and 1,
    whether the classifier counts one class or two.

    Example:
        >>> count_labels(1, 1), count_labels(2, 1), count_labels(19, 19)
        (2, 2, 19)
    """
    return 2 if out_channels == 1 else num_classes


def undo_flip(maps: Tensor, direction: str) -> Tensor:
    """Turn maps of a flipped image back; a flip undoes itself.

    Args:
        maps: (..., H, W).
        direction: 'horizontal', 'vertical' or 'diagonal', which is both, as
            the transforms of the hosts name it.

    Raises:
        ValueError: On another direction.

    Example:
        >>> undo_flip(torch.tensor([[1, 2], [3, 4]]), 'diagonal').tolist()
        [[4, 3], [2, 1]]
    """
    check_choice('flip_direction', direction, tuple(FLIPS))
    return maps.flip(FLIPS[direction])


def two_class_logits(logits: Tensor, threshold: float) -> Tensor:
    """Turn one foreground logit into two whose argmax is the prediction.

    Args:
        logits: (B, 1, h, w), foreground where sigmoid(logit) > threshold.
        threshold: In (0, 1).

    Returns:
        (B, 2, h, w).
    """
    shift = math.log(threshold / (1. - threshold))
    return torch.cat([torch.zeros_like(logits), logits - shift], 1)


def one_class_logit(logits: Tensor, threshold: float) -> Tensor:
    """Turn two logits into one of the foreground; see `two_class_logits`.

    Args:
        logits: (B, 2, h, w).
        threshold: In (0, 1): sigmoid of the result is above it where the
            second logit is the larger one.

    Returns:
        (B, 1, h, w).
    """
    shift = math.log(threshold / (1. - threshold))
    return logits[:, 1:] - logits[:, :1] + shift


def hard_pixels(logits: Tensor,
                labels: Tensor,
                *,
                hardness: str = 'segmentation',
                confidence: float = 0.97) -> Tensor:
    """Tell which pixels the classifier finds hard.

    Args:
        logits: (B, C, h, w).
        labels: (B, h, w) int64; the answer for a label outside [0, C) has
            no meaning.
        hardness: 'segmentation': misclassified (Wang et al., section 3.3);
            'confidence': probability of the own class below `confidence`
            (as in Liu et al., "Bootstrapping Semantic Segmentation with
            Regional Contrast", 2104.04465); 'random': none.
        confidence: In (0, 1].

    Returns:
        (B, h, w) bool.
    """
    check_choice('hardness', hardness, HARDNESS)
    if hardness == 'segmentation':
        return logits.argmax(1) != labels.long()
    if hardness == 'random':
        return torch.zeros_like(labels, dtype=torch.bool)
    own = labels.long().clamp(0, logits.shape[1] - 1)[:, None]
    probability = logits.float().softmax(1).gather(1, own)
    return probability[:, 0] < confidence
