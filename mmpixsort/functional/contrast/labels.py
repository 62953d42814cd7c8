"""Labels and predictions on the pixel grid of an embedding map.

Shapes: B images, C classes, H W size of the labels, h w size of the grid.
"""
import math
from typing import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmpixsort.functional.checks import check_choice

# for each direction of a flip: the dimensions that it reverses
FLIPS = dict(horizontal=(-1, ), vertical=(-2, ), diagonal=(-2, -1))
HARDNESS = ('segmentation', 'confidence', 'random')


def resize_labels(labels: Tensor, size: Sequence[int],
                  ignore_index: int) -> Tensor:
    """Resize a label map to another grid and replace ignored labels by -1.

    Each cell takes its nearest label, as in the authors' released code: for
    an integer ratio of the sizes this is its top left pixel.

    Args:
        labels: (B, H, W) integer.
        size: h and w of the new grid.
        ignore_index: Label of pixels that are ignored.

    Returns:
        (B, h, w) int64, -1 where ignored.

    Example:
        >>> resize_labels(torch.tensor([[[0, 1], [1, 255]]]), (1, 2), 255)
        tensor([[[0, 1]]])
    """
    resized = interpolate(labels[:, None].float(), size=tuple(size))[:, 0]
    resized = resized.long()
    return resized.masked_fill(resized == ignore_index, -1)


def count_labels(num_classes: int, out_channels: int) -> int:
    """Return the number of label values for the outputs of a classifier.

    A classifier with one output tells foreground from background: its labels
    are 0 and 1, whether its `num_classes` is 1 or 2.

    Args:
        num_classes: Number of classes in the config of the classifier.
        out_channels: Number of output channels of the classifier.

    Example:
        >>> count_labels(1, 1), count_labels(2, 1), count_labels(19, 19)
        (2, 2, 19)
    """
    return 2 if out_channels == 1 else num_classes


def undo_flip(maps: Tensor, direction: str) -> Tensor:
    """Flip maps of a flipped image back to the original orientation.

    Args:
        maps: (..., H, W) maps that were computed on the flipped image.
        direction: 'horizontal', 'vertical', or 'diagonal' for both flips,
            as the transforms of mmseg and mmdet name it.

    Returns:
        (..., H, W).

    Raises:
        ValueError: If the direction is none of these.

    Example:
        >>> undo_flip(torch.tensor([[1, 2], [3, 4]]), 'diagonal').tolist()
        [[4, 3], [2, 1]]
    """
    check_choice('flip_direction', direction, tuple(FLIPS))
    return maps.flip(FLIPS[direction])


def two_class_logits(logits: Tensor, threshold: float) -> Tensor:
    """Turn one foreground logit into two logits with the same prediction.

    Args:
        logits: (B, 1, h, w) logit of the foreground.
        threshold: Probability in (0, 1) above which a pixel is foreground.

    Returns:
        (B, 2, h, w) logits of background and foreground. The second one is
        larger where sigmoid(logit) > threshold.
    """
    shift = math.log(threshold / (1. - threshold))
    return torch.cat([torch.zeros_like(logits), logits - shift], 1)


def one_class_logit(logits: Tensor, threshold: float) -> Tensor:
    """Turn two logits into one foreground logit with the same prediction.

    This is the inverse of :func:`two_class_logits`.

    Args:
        logits: (B, 2, h, w) logits of background and foreground.
        threshold: Probability in (0, 1) above which a pixel is foreground.

    Returns:
        (B, 1, h, w) logit of the foreground. Its sigmoid is above the
        threshold where the second logit is the larger one.
    """
    shift = math.log(threshold / (1. - threshold))
    return logits[:, 1:] - logits[:, :1] + shift


def hard_pixels(logits: Tensor,
                labels: Tensor,
                *,
                hardness: str = 'segmentation',
                confidence: float = 0.97) -> Tensor:
    """Return a mask of the pixels that are hard for the classifier.

    Args:
        logits: (B, C, h, w) class logits of the classifier.
        labels: (B, h, w) integer labels. The result is meaningless for
            pixels whose label lies outside [0, C).
        hardness: Definition of a hard pixel. 'segmentation': the pixel is
            misclassified (Wang et al., 2101.11939, section 3.3);
            'confidence': the probability of its true class is below
            `confidence` (Liu et al., "Bootstrapping Semantic Segmentation
            with Regional Contrast", 2104.04465); 'random': no pixel is hard.
        confidence: Probability in (0, 1] for `hardness='confidence'`.

    Returns:
        (B, h, w) bool, True for hard pixels.

    Raises:
        ValueError: If `hardness` is none of these.

    Example:
        >>> logits = torch.tensor([[2., 0.], [1., 3.]]).view(1, 2, 1, 2)
        >>> hard_pixels(logits, torch.tensor([[[0, 0]]]))
        tensor([[[False,  True]]])
    """
    check_choice('hardness', hardness, HARDNESS)
    if hardness == 'segmentation':
        # a CPU takes less than half the time of argmax over strided classes
        return logits.max(1).indices != labels.long()
    if hardness == 'random':
        return torch.zeros_like(labels, dtype=torch.bool)
    own = labels.long().clamp(0, logits.shape[1] - 1)[:, None]
    probability = logits.float().softmax(1).gather(1, own)
    return probability[:, 0] < confidence
