"""The contrastive loss between images and sentences as a module."""
from typing import Optional, Union

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import check_mask, check_non_negative
from mmpixsort.functional.words.image_sentence import image_sentence_contrast
from mmpixsort.functional.words.joint_space import full_precision
from mmpixsort.registry import MODELS
from mmpixsort.utils.gather import (gather_rows, largest_sizes, pad_to,
                                    sum_over_ranks)
from mmpixsort.utils.ranks import get_rank, get_world_size


@MODELS.register_module()
class ImageSentenceLoss(nn.Module):
    """Average :func:`mmpixsort.functional.image_sentence_contrast`.

    The loss is the mean of both directions, as in CLIP
    (https://arxiv.org/abs/2103.00020). Rows are gathered from all ranks with
    their gradients, so the gradient is that of one process with the joint
    batch. If one rank calls the loss, all ranks must call it.

    Args:
        gather: Whether the rows of other ranks are negatives.
        loss_weight: Factor of the mean, 0 or more.

    Raises:
        TypeError: If `loss_weight` is not a number.
        ValueError: If `loss_weight` is negative.

    Example:
        >>> import torch
        >>> ImageSentenceLoss()(torch.eye(2), torch.eye(2), scale=1.)
        tensor(0.3133)
    """

    def __init__(self,
                 *,
                 gather: bool = True,
                 loss_weight: float = 1.) -> None:
        super().__init__()
        check_non_negative('loss_weight', loss_weight)
        self.gather = gather
        self.loss_weight = loss_weight

    def forward(self,
                images: Tensor,
                sentences: Tensor,
                *,
                scale: Union[float, Tensor],
                valid: Optional[Tensor] = None) -> Tensor:
        """Return a scalar loss, which is zero if no pair is valid.

        The zero has a gradient.

        Args:
            images: (B, E) unit rows of this rank; B may differ between
                ranks.
            sentences: (B, E) unit rows; row b belongs to image b.
            scale: alpha, factor of the similarities, above 0.
            valid: (B,) bool mask of the images that have a sentence; None
                means that all have one.
        """
        if valid is None:
            valid = images.new_ones(len(images), dtype=torch.bool)
        check_mask('valid', valid, images.shape[:1])
        parts = dict(all_images=images, all_sentences=sentences)
        own = torch.arange(len(images), device=images.device)
        every_valid = valid
        if self.gather and get_world_size() > 1:
            most, = largest_sizes(len(images))
            # one collective operation for both, in forward and backward
            both = torch.stack(full_precision(images, sentences), 1)
            both = gather_rows(pad_to(both, most))
            parts = dict(all_images=both[:, 0], all_sentences=both[:, 1])
            every_valid = gather_rows(
                pad_to(valid.to(torch.uint8), most)).bool()
            own = own + get_rank() * most
        nll = sum(
            image_sentence_contrast(
                images, sentences, scale=scale, own=own,
                all_valid=every_valid, **parts)) / 2
        count = sum_over_ranks(valid.sum()).clamp(min=1)
        # DDP averages gradients over the ranks, so multiply by their number
        return self.loss_weight * nll.sum() * (get_world_size() / count)
