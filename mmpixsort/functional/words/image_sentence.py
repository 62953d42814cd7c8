"""Contrastive loss between images and their sentences, in both directions.

Shapes: B images with one sentence each, A images of all ranks, E dims of the
joint space.

Radford et al., "Learning Transferable Visual Models From Natural Language
Supervision", ICML 2021, https://arxiv.org/abs/2103.00020, section 2.3.
"""
from typing import Optional, Tuple, Union

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_labels, check_mask
from mmpixsort.functional.contrast.tiles import LOW
from mmpixsort.functional.precision import autocast_off

from .joint_space import check_scale, full_precision


def image_sentence_contrast(
    images: Tensor,
    sentences: Tensor,
    *,
    scale: Union[float, Tensor],
    all_images: Optional[Tensor] = None,
    all_sentences: Optional[Tensor] = None,
    own: Optional[Tensor] = None,
    all_valid: Optional[Tensor] = None,
) -> Tuple[Tensor, Tensor]:
    r"""Contrast images with all sentences, and sentences with all images.

    .. math::
        L_b = -\log \frac{e^{\alpha x_b \cdot s_b}}
              {\sum_a e^{\alpha x_b \cdot s_a}}

    is the loss of image x_b with sentence s_b; the loss of a sentence
    exchanges x and s. The sums run over the batch or, if `all_images`,
    `all_sentences` and `own` are given, over the pairs of all ranks. The
    computation runs in float32, or in float64 for float64 inputs, with
    autocast off.

    Args:
        images: (B, E) unit rows.
        sentences: (B, E) unit rows; row b belongs to image b.
        scale: alpha, above 0; a scalar tensor may require a gradient.
        all_images: (A, E) unit rows of all ranks, including `images`.
        all_sentences: (A, E) unit rows of all ranks, including `sentences`.
        own: (B,) integer index in [0, A) of each pair of the batch among
            those of all ranks.
        all_valid: (A,) bool mask of the pairs that are used; the values of
            other rows do not matter. None uses all pairs.

    Returns:
        Negative log-likelihoods of the images (B,) and of the sentences
        (B,), zero for pairs that are not valid.

    Raises:
        ValueError: If a shape or the scale is wrong, or only some of
            `all_images`, `all_sentences` and `own` are given.

    Example:
        >>> nll, _ = image_sentence_contrast(
        ...     torch.eye(2), torch.eye(2), scale=1.)
        >>> nll  # log(e + 1) - 1
        tensor([0.3133, 0.3133])
    """
    check_scale(scale)
    _check_rows(images, sentences)
    given = [part is not None for part in (all_images, all_sentences, own)]
    if not any(given):
        all_images, all_sentences = images, sentences
        own = torch.arange(len(images), device=images.device)
    elif not all(given):
        raise ValueError('`all_images`, `all_sentences` and `own` must be '
                         'given together or not at all')
    _check_rows(all_images, all_sentences, 'all_')
    check_labels('own', own, images.shape[:1])
    if all_valid is None:
        all_valid = own.new_ones(len(all_images), dtype=torch.bool)
    check_mask('all_valid', all_valid, all_images.shape[:1])
    with autocast_off(images.device):
        images, sentences, all_images, all_sentences = full_precision(
            images, sentences, all_images, all_sentences)
        return (_nll(images, all_sentences, scale, own.long(), all_valid),
                _nll(sentences, all_images, scale, own.long(), all_valid))


def _check_rows(images: Tensor, sentences: Tensor, name: str = '') -> None:
    """Raise unless both are floating tensors of the same shape (B, E)."""
    if (images.dim() != 2 or images.shape != sentences.shape or
            not images.is_floating_point() or
            not sentences.is_floating_point()):
        raise ValueError(
            f'`{name}images` and `{name}sentences` must be floating tensors '
            f'of the same shape (B, E), got {images.dtype} of shape '
            f'{tuple(images.shape)} and {sentences.dtype} of shape '
            f'{tuple(sentences.shape)}')


def _nll(rows: Tensor, keys: Tensor, scale: Union[float, Tensor],
         own: Tensor, valid: Tensor) -> Tensor:
    """Return -log softmax(row b . keys)[own[b]] for every row b."""
    # padding may hold NaN, and zero times NaN is NaN
    row_valid = valid[own]
    rows = rows.masked_fill(~row_valid[:, None], 0.)
    keys = keys.masked_fill(~valid[:, None], 0.)
    logits = (scale * (rows @ keys.T)).masked_fill(~valid, LOW)
    nll = logits.logsumexp(1) - logits.gather(1, own[:, None]).squeeze(1)
    return nll.masked_fill(~row_valid, 0.)
