"""Contrast of the nouns of captions with regions of images, one way.

Shapes: B images, K regions of an image, M nouns, m nouns of a chunk, L nouns
of a caption, E dims of the joint space.

In the spirit of Zhang et al., "Associating Spatially-Consistent Grouping
with Text-supervised Semantic Segmentation", 2023,
https://arxiv.org/abs/2304.01114, whose equations were not published: these
are our own.
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
    """The loss of every noun, and what to log about it.

    Attributes:
        nll: (M,), zero where invalid.
        valid: (M,) bool; the noun is no padding and its image has a region.
        hit: (M,) bool; the best region of its own image beats all negatives.
        no_negatives: (M,) bool; valid, but nothing to tell it from.
    """

    nll: Tensor
    valid: Tensor
    hit: Tensor
    no_negatives: Tensor


class _Regions(NamedTuple):
    """All regions.

    Attributes:
        rows: (B * K, E), zero where invalid.
        valid: (B, K) bool.
        caption_nouns: (B, L) ids, or None.
    """

    rows: Tensor
    valid: Tensor
    caption_nouns: Optional[Tensor]


def noun_region_contrast(
    nouns: Tensor,
    noun_images: Tensor,
    regions: Tensor,
    region_valid: Tensor,
    *,
    scale: Union[float, Tensor],
    positives: str = 'soft',
    noun_ids: Optional[Tensor] = None,
    caption_nouns: Optional[Tensor] = None,
    chunk_size: Optional[int] = None,
) -> Tuple[Tensor, Tensor]:
    r"""Find each noun in its own image rather than in the others.

    With :math:`a_{mbk} = \alpha\, t_m \cdot z_{bk}`, the image
    :math:`b_m` of the noun, and the regions :math:`N_m` of other images:

    .. math::
        L_m = -\log \frac{e^{p_m}}{e^{p_m} + \sum_{N_m} e^{a_{mbk}}}

    where :math:`p_m` is taken from the regions k of image :math:`b_m`:
    'soft' :math:`\sum_k \pi_k a_k` with the constant
    :math:`\pi = \mathrm{softmax}(a)`; 'max' :math:`\max_k a_k`; 'mil'
    :math:`\log \sum_k e^{a_k}`; 'mean' their mean. One way: the sum runs
    over regions for a given noun and never over nouns for a given region,
    since most regions have no noun in the caption. L(mil) <= L(max) <=
    L(soft). Training from random weights collapses with 'max' and 'mean'.

    Nouns are taken chunk by chunk, and the backward pass evaluates a chunk
    again: extra memory does not grow with M. In float32 (float64 stays),
    autocast off. A noun that is listed twice counts twice.

    Args:
        nouns: (M, E) text embeddings, unit rows.
        noun_images: (M,) integer in [0, B), the image of the caption that
            holds the noun; negative: padding, whatever its values.
        regions: (B, K, E) unit rows.
        region_valid: (B, K) bool; others take no part, whatever their
            values.
        scale: alpha, above 0; a scalar tensor may have a gradient.
        positives: 'soft', 'max', 'mil' or 'mean'.
        noun_ids: (M,) integer, with `caption_nouns`: images whose caption
            has the noun too are no negatives.
        caption_nouns: (B, L) integer, the nouns of every caption; negative:
            padding.
        chunk_size: Nouns that are scored at once; None: 4 million logits.

    Returns:
        nll (M,), zero where invalid, and valid (M,) bool: the noun is no
        padding and its image has a valid region. The nll is zero, too,
        where a noun has no negatives.

    Raises:
        ValueError: On wrong shapes or options.
        TypeError: On ids that are not integers.

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
        caption_nouns=caption_nouns,
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
    caption_nouns: Optional[Tensor] = None,
    chunk_size: Optional[int] = None,
) -> NounRegionTerms:
    """Return the loss of :func:`noun_region_contrast` and diagnostics.

    See there for the arguments.
    """
    check_choice('positives', positives, NOUN_POSITIVES)
    check_scale(scale)
    noun_images = _check_shapes(nouns, noun_images, regions, region_valid)
    noun_ids, caption_nouns = _check_ids(
        noun_ids, caption_nouns, noun_images, regions)
    if chunk_size is not None:
        check_count('chunk_size', chunk_size)
    with autocast_off(regions.device):
        nouns, regions = full_precision(nouns, regions)
        # NaN in padding times zero is NaN
        nouns = nouns.masked_fill((noun_images < 0)[:, None], 0.)
        regions = regions.masked_fill(~region_valid[..., None], 0.)
        table = _Regions(regions.flatten(0, 1), region_valid, caption_nouns)
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
    """Return the images of nouns as int64, after a check of all shapes."""
    if regions.dim() != 3 or not regions.is_floating_point():
        raise ValueError(
            '`regions` must be a floating tensor of shape (B, K, E), got '
            f'{regions.dtype} of shape {tuple(regions.shape)}')
    if 0 in regions.shape[:2]:
        raise ValueError('`regions` must hold an image and a region or more, '
                         f'got shape {tuple(regions.shape)}; pad K with '
                         'regions that are not valid')
    check_mask('region_valid', region_valid, regions.shape[:2])
    if (nouns.dim() != 2 or not nouns.is_floating_point() or
            nouns.shape[1] != regions.shape[2]):
        raise ValueError(
            f'`nouns` must be a floating tensor of shape (M, '
            f'{regions.shape[2]}), E of the regions, got {nouns.dtype} of '
            f'shape {tuple(nouns.shape)}')
    return check_labels('noun_images', noun_images, nouns.shape[:1])


def _check_ids(noun_ids: Optional[Tensor], caption_nouns: Optional[Tensor],
               noun_images: Tensor, regions: Tensor) -> tuple:
    """Return both as int64; both or none must be given, and fit."""
    if (noun_ids is None) != (caption_nouns is None):
        raise ValueError('`noun_ids` and `caption_nouns` must be given both '
                         'or not at all, got one')
    if noun_ids is None:
        return None, None
    return (check_labels('noun_ids', noun_ids, noun_images.shape),
            check_labels('caption_nouns', caption_nouns,
                         (len(regions), *caption_nouns.shape[1:2])))


def _chunks(nouns: Tensor, num_regions: int,
            chunk_size: Optional[int]) -> Iterator[slice]:
    """Cut the nouns; no nouns are one empty chunk."""
    if chunk_size is None:
        return tiles(len(nouns), num_regions, nouns.device)
    return (slice(start, start + chunk_size)
            for start in range(0, max(1, len(nouns)), chunk_size))


def _score_again_in_backward(*arguments) -> Tuple[Tensor, ...]:
    """Call :func:`_score`, keeping only what it was called with."""
    return checkpoint(
        _score, *arguments, use_reentrant=False, preserve_rng_state=False)


def _score(nouns: Tensor, images: Tensor, ids: Tensor,
           scale: Union[float, Tensor], table: _Regions,
           positives: str) -> Tuple[Tensor, ...]:
    """Evaluate the equation on a chunk; see :class:`NounRegionTerms`."""
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
    """Return the mask (m, B, K) of regions that a noun is told from."""
    column = torch.arange(len(table.valid), device=images.device)
    others = column != images[:, None]
    if table.caption_nouns is not None:
        same = table.caption_nouns == ids[:, None, None]
        others &= ~(same & (ids >= 0)[:, None, None]).any(2)
    return others[..., None] & table.valid


def _positive_score(own: Tensor, valid: Tensor, positives: str) -> Tensor:
    """Return p (m,) of the logits (m, K) of the own regions."""
    masked = own.masked_fill(~valid, LOW)
    if positives == 'mil':
        return masked.logsumexp(1)
    if positives == 'max':
        # of equals the first: `amax` would share the gradient
        return masked.max(1).values
    if positives == 'soft':
        weights = masked.detach().softmax(1)
    else:
        weights = valid / valid.to(own.dtype).sum(1, True).clamp(min=1)
    return (weights * own).sum(1)
