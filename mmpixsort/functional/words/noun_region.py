"""Contrastive loss that compares the nouns of captions with image regions.

Shapes: B images, K regions of an image, M nouns, m nouns of a chunk, L nouns
of a caption, E dims of the joint space.

The idea is that of Zhang et al., "Associating Spatially-Consistent Grouping
with Text-supervised Semantic Segmentation", 2023,
https://arxiv.org/abs/2304.01114. They did not publish their equations; the
equations here are our own.
"""
from typing import Iterator, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.utils.checkpoint import checkpoint

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_labels, check_mask)
from mmpixsort.functional.contrast.tiles import LOW, tiles
from mmpixsort.functional.precision import autocast_off

from .joint_space import check_scale, full_precision

NOUN_POSITIVES = ('soft', 'max', 'mil', 'mean')


class NounRegionTerms(NamedTuple):
    """Loss and diagnostics of every noun.

    Attributes:
        nll: (M,) negative log-likelihood, zero where `valid` is False.
        valid: (M,) bool, True if the noun is not padding and its image has a
            valid region.
        hit: (M,) bool, True if the most similar region of the noun's own
            image is more similar than all negatives.
        no_negatives: (M,) bool, True for a valid noun without negatives.
    """

    nll: Tensor
    valid: Tensor
    hit: Tensor
    no_negatives: Tensor


class _Regions(NamedTuple):
    """The regions of all images, and the nouns of their captions.

    Attributes:
        rows: (B * K, E) embeddings, zero where a region is not valid.
        valid: (B, K) bool mask of the valid regions.
        caption_ids: (B, L) ids of the nouns of every caption; None makes
            the regions of all other images negatives.
    """

    rows: Tensor
    valid: Tensor
    caption_ids: Optional[Tensor]


def noun_region_contrast(
    nouns: Tensor,
    noun_images: Tensor,
    regions: Tensor,
    region_valid: Tensor,
    *,
    scale: Union[float, Tensor],
    positives: str = 'soft',
    noun_ids: Optional[Tensor] = None,
    caption_ids: Optional[Tensor] = None,
    chunk_size: Optional[int] = None,
) -> Tuple[Tensor, Tensor]:
    r"""Contrast each noun's own image with the regions of all other images.

    With the logits :math:`a_{mbk} = \alpha\, t_m \cdot z_{bk}` of noun m and
    region k of image b, and the set :math:`N_m` of the regions of other
    images, the loss of noun m is

    .. math::
        L_m = -\log \frac{e^{p_m}}{e^{p_m} + \sum_{N_m} e^{a_{mbk}}}

    The score :math:`p_m` combines the logits :math:`a_k` of the regions of
    the noun's own image. `positives` selects how: 'soft' is
    :math:`\sum_k \pi_k a_k` with :math:`\pi = \mathrm{softmax}(a)` as a
    constant; 'max' is :math:`\max_k a_k`; 'mil' is
    :math:`\log \sum_k e^{a_k}`; 'mean' is their mean. It follows that
    L(mil) <= L(max) <= L(soft). Training from random weights collapses with
    'max' and 'mean'.

    The sum runs over regions for a given noun and never over nouns for a
    given region, because the caption names few of the regions. A noun that
    is listed twice counts twice.

    Several chunks of nouns are evaluated one by one, and again in the
    backward pass, so extra memory does not grow with M. The computation runs
    in float32, or in float64 for float64 inputs, with autocast off.

    Args:
        nouns: (M, E) text embeddings, unit rows.
        noun_images: (M,) integer index in [0, B) of the image whose caption
            contains the noun; a negative index marks padding, whose values
            do not matter.
        regions: (B, K, E) region embeddings, unit rows.
        region_valid: (B, K) bool mask of the regions that are used; the
            values of other regions do not matter.
        scale: alpha, above 0; a scalar tensor may require a gradient.
        positives: 'soft', 'max', 'mil' or 'mean'.
        noun_ids: (M,) integer ids of the nouns, to be given together with
            `caption_ids`. With both, regions of an image whose caption
            contains the noun as well are not negatives.
        caption_ids: (B, L) integer ids of the nouns of every caption;
            negative ids are padding.
        chunk_size: Number of nouns that are evaluated at once; None chooses
            it from the number of regions and the device.

    Returns:
        Negative log-likelihood (M,), which is zero for nouns that are not
        valid or have no negatives; and valid (M,) bool, True for nouns that
        are not padding and whose image has a valid region.

    Raises:
        ValueError: If a shape, an option or the scale is wrong.
        TypeError: If indices or ids are not integers.

    Example:
        >>> regions = torch.eye(4).view(2, 2, 4)
        >>> nll, valid = noun_region_contrast(
        ...     torch.eye(4)[:1], torch.tensor([0]), regions,
        ...     torch.ones(2, 2).bool(), scale=1., positives='max')
        >>> nll  # log(e + 2) - 1
        tensor([0.5514])
    """
    terms = noun_region_terms(
        nouns,
        noun_images,
        regions,
        region_valid,
        scale=scale,
        positives=positives,
        noun_ids=noun_ids,
        caption_ids=caption_ids,
        chunk_size=chunk_size)
    return terms.nll, terms.valid


def noun_region_terms(
    nouns: Tensor,
    noun_images: Tensor,
    regions: Tensor,
    region_valid: Tensor,
    *,
    scale: Union[float, Tensor],
    positives: str = 'soft',
    noun_ids: Optional[Tensor] = None,
    caption_ids: Optional[Tensor] = None,
    chunk_size: Optional[int] = None,
) -> NounRegionTerms:
    """Return the loss of :func:`noun_region_contrast` with diagnostics.

    The arguments are those of :func:`noun_region_contrast`.
    """
    check_choice('positives', positives, NOUN_POSITIVES)
    check_scale(scale)
    noun_images = _check_shapes(nouns, noun_images, regions, region_valid)
    noun_ids, caption_ids = _check_ids(
        noun_ids, caption_ids, noun_images, regions)
    if chunk_size is not None:
        check_count('chunk_size', chunk_size)
    with autocast_off(regions.device):
        nouns, regions = full_precision(nouns, regions)
        # padding may hold NaN, and zero times NaN is NaN
        nouns = nouns.masked_fill((noun_images < 0)[:, None], 0.)
        regions = regions.masked_fill(~region_valid[..., None], 0.)
        table = _Regions(regions.flatten(0, 1), region_valid, caption_ids)
        ids = noun_images if noun_ids is None else noun_ids
        chunks = list(_chunks(nouns, len(table.rows), chunk_size))
        score = _score if len(chunks) == 1 else _score_again_in_backward
        parts = [
            score(nouns[rows], noun_images[rows], ids[rows], scale, table,
                  positives) for rows in chunks
        ]
    return NounRegionTerms(*map(torch.cat, zip(*parts)))


def _check_shapes(nouns: Tensor, noun_images: Tensor, regions: Tensor,
                  region_valid: Tensor) -> Tensor:
    """Check all shapes and return `noun_images` as int64."""
    if regions.dim() != 3 or not regions.is_floating_point():
        raise ValueError(
            '`regions` must be a floating tensor of shape (B, K, E), got '
            f'{regions.dtype} of shape {tuple(regions.shape)}')
    if 0 in regions.shape[:2]:
        raise ValueError('`regions` must hold at least one image and one '
                         f'region, got shape {tuple(regions.shape)}; pad K '
                         'with regions that are not valid')
    check_mask('region_valid', region_valid, regions.shape[:2])
    if (nouns.dim() != 2 or not nouns.is_floating_point() or
            nouns.shape[1] != regions.shape[2]):
        raise ValueError(
            f'`nouns` must be a floating tensor of shape (M, '
            f'{regions.shape[2]}), with the E of the regions, got '
            f'{nouns.dtype} of shape {tuple(nouns.shape)}')
    return check_labels('noun_images', noun_images, nouns.shape[:1])


def _check_ids(noun_ids: Optional[Tensor], caption_ids: Optional[Tensor],
               noun_images: Tensor, regions: Tensor) -> tuple:
    """Check that both or neither are given and return them as int64."""
    if (noun_ids is None) != (caption_ids is None):
        raise ValueError('`noun_ids` and `caption_ids` must be given '
                         'together or not at all, got one of them')
    if noun_ids is None:
        return None, None
    return (check_labels('noun_ids', noun_ids, noun_images.shape),
            check_labels('caption_ids', caption_ids,
                         (len(regions), *caption_ids.shape[1:2])))


def _chunks(nouns: Tensor, num_regions: int,
            chunk_size: Optional[int]) -> Iterator[slice]:
    """Yield the chunks of nouns; there is one empty chunk if M is 0."""
    if chunk_size is None:
        return tiles(len(nouns), num_regions, nouns.device)
    return (slice(start, start + chunk_size)
            for start in range(0, max(1, len(nouns)), chunk_size))


def _score_again_in_backward(*arguments) -> Tuple[Tensor, ...]:
    """Call :func:`_score` and keep only its arguments for backward."""
    return checkpoint(
        _score, *arguments, use_reentrant=False, preserve_rng_state=False)


def _score(nouns: Tensor, images: Tensor, ids: Tensor,
           scale: Union[float, Tensor], table: _Regions,
           positives: str) -> Tuple[Tensor, ...]:
    """Return the fields of :class:`NounRegionTerms` for a chunk of nouns."""
    logits = scale * (nouns @ table.rows.T)
    logits = logits.view(len(nouns), *table.valid.shape)
    image = images.clamp(min=0)
    row = image[:, None, None].expand(-1, 1, logits.shape[2])
    own = logits.gather(1, row).squeeze(1)
    own_valid = table.valid[image]
    negative = _negatives(images, ids, table)
    push = logits.masked_fill(~negative, LOW).flatten(1)
    valid = (images >= 0) & own_valid.any(1)
    margin = push.logsumexp(1) - _positive_score(own, own_valid, positives)
    nll = softplus(margin.masked_fill(~valid, LOW), threshold=40.)
    best = own.masked_fill(~own_valid, LOW).amax(1)
    hit = valid & (best > push.amax(1))
    return nll, valid, hit, valid & ~negative.flatten(1).any(1)


def _negatives(images: Tensor, ids: Tensor, table: _Regions) -> Tensor:
    """Return the mask (m, B, K) of the negatives of every noun."""
    column = torch.arange(len(table.valid), device=images.device)
    others = column != images[:, None]
    if table.caption_ids is not None:
        same = table.caption_ids == ids[:, None, None]
        others &= ~(same & (ids >= 0)[:, None, None]).any(2)
    return others[..., None] & table.valid


def _positive_score(own: Tensor, valid: Tensor, positives: str) -> Tensor:
    """Return the score p (m,) from the logits (m, K) of the own regions."""
    masked = own.masked_fill(~valid, LOW)
    if positives == 'mil':
        return masked.logsumexp(1)
    if positives == 'max':
        # the gradient goes to the first maximum; `amax` would split it
        return masked.max(1).values
    if positives == 'soft':
        weights = masked.detach().softmax(1)
    else:
        weights = valid / valid.to(own.dtype).sum(1, True).clamp(min=1)
    return (weights * own).sum(1)
