"""The contrastive loss between nouns and regions as a module."""
from typing import Dict, NamedTuple, Optional, Union

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative)
from mmpixsort.functional.words.joint_space import full_precision
from mmpixsort.functional.words.noun_region import (NOUN_POSITIVES,
                                                    NounRegionTerms,
                                                    noun_region_terms)
from mmpixsort.registry import MODELS
from mmpixsort.utils.gather import (gather_rows, largest_sizes, pad_to,
                                    sum_over_ranks)
from mmpixsort.utils.ranks import get_rank, get_world_size

NORMALISERS = ('noun', 'image')


class _AllRegions(NamedTuple):
    """Regions of all ranks, and the images of the nouns of this rank.

    Attributes:
        regions: (B, K, E) embeddings of the regions.
        region_valid: (B, K) bool mask of the valid regions.
        noun_images: (M,) index of the image of each noun of this rank.
        caption_ids: (B, L) ids of the nouns of every caption, or None.
    """

    regions: Tensor
    region_valid: Tensor
    noun_images: Tensor
    caption_ids: Optional[Tensor]


@MODELS.register_module()
class NounRegionLoss(nn.Module):
    """Average :func:`mmpixsort.functional.noun_region_contrast` over nouns.

    The idea is that of Zhang et al. (https://arxiv.org/abs/2304.01114); the
    equations are our own. Regions are gathered from all ranks with their
    gradients, so the gradient is that of one process with the joint batch.
    The numbers of images, regions and nouns may differ between ranks. If one
    rank calls the loss, all ranks must call it.

    Args:
        positives: 'soft', 'max', 'mil' or 'mean'. Training from random
            weights collapses with 'max' and 'mean'; use 'max' after a
            warm-up.
        warmup_iters: Number of first iterations that use 'soft' in place of
            `positives`.
        mask_same_noun: Whether to exclude images from the negatives of a
            noun if their caption contains the noun as well.
        normalise_by: 'noun' takes the mean over the nouns of all ranks;
            'image' takes the mean over images of the mean over their nouns.
        gather: Whether the regions of other ranks are negatives.
        loss_weight: Factor of the mean, 0 or more.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If an option is out of range.

    Example:
        >>> import torch
        >>> losses = NounRegionLoss(positives='max')(
        ...     torch.eye(4)[:1], torch.tensor([0]),
        ...     torch.eye(4).view(2, 2, 4), torch.ones(2, 2).bool(),
        ...     scale=1.)
        >>> losses['loss_n2r'], losses['acc_n2r']
        (tensor(0.5514), tensor(100.))
    """

    def __init__(self,
                 *,
                 positives: str = 'soft',
                 warmup_iters: int = 0,
                 mask_same_noun: bool = False,
                 normalise_by: str = 'noun',
                 gather: bool = True,
                 loss_weight: float = 1.) -> None:
        super().__init__()
        check_choice('positives', positives, NOUN_POSITIVES)
        check_count('warmup_iters', warmup_iters, minimum=0)
        check_choice('normalise_by', normalise_by, NORMALISERS)
        check_non_negative('loss_weight', loss_weight)
        self.positives = positives
        self.warmup_iters = warmup_iters
        self.mask_same_noun = mask_same_noun
        self.normalise_by = normalise_by
        self.gather = gather
        self.loss_weight = loss_weight

    def forward(self,
                nouns: Tensor,
                noun_images: Tensor,
                regions: Tensor,
                region_valid: Tensor,
                *,
                scale: Union[float, Tensor],
                noun_ids: Optional[Tensor] = None,
                caption_ids: Optional[Tensor] = None,
                iteration: Optional[int] = None) -> Dict[str, Tensor]:
        """Return `loss_n2r` and diagnostics over the nouns of all ranks.

        The loss is a zero with a gradient if no noun is valid. `acc_n2r` is
        the percentage of valid nouns whose most similar region lies in their
        own image rather than among the negatives. `no_negatives` is the
        percentage of valid nouns that have no negatives and so no loss.

        Args:
            nouns: (M, E) text embeddings of this rank, unit rows.
            noun_images: (M,) integer index in [0, B) of the image of each
                noun on this rank; negative for padding.
            regions: (B, K, E) region embeddings of this rank, unit rows.
            region_valid: (B, K) bool mask of the regions that are used.
            scale: alpha, factor of the similarities, above 0.
            noun_ids: (M,) integer ids of the nouns in a vocabulary that all
                ranks share; required with `mask_same_noun`.
            caption_ids: (B, L) integer ids of the nouns of every caption,
                padded with -1; required with `mask_same_noun`.
            iteration: Iteration of the training, from 0; required with
                `warmup_iters`.

        Raises:
            ValueError: If an argument that an option requires is missing, or
                a shape is wrong.
        """
        if not self.mask_same_noun:
            noun_ids = caption_ids = None
        elif noun_ids is None or caption_ids is None:
            raise ValueError('`noun_ids` and `caption_ids` must be given '
                             'with `mask_same_noun`, got None')
        every = _AllRegions(regions, region_valid, noun_images, caption_ids)
        if self.gather:
            every = _gather(every)
        terms = noun_region_terms(
            nouns,
            every.noun_images,
            every.regions,
            every.region_valid,
            scale=scale,
            positives=self.positives_at(iteration),
            noun_ids=noun_ids,
            caption_ids=every.caption_ids)
        return self._reduce(terms, noun_images, len(regions))

    def positives_at(self, iteration: Optional[int] = None) -> str:
        """Return the option `positives` that is used in an iteration.

        Raises:
            ValueError: If `iteration` is None and there is a warm-up.
        """
        if not self.warmup_iters:
            return self.positives
        if iteration is None:
            raise ValueError('`iteration` must be given with `warmup_iters`, '
                             'got None; TrainingClock().tick() returns it')
        return 'soft' if iteration < self.warmup_iters else self.positives

    def _reduce(self, terms: NounRegionTerms, noun_images: Tensor,
                num_images: int) -> Dict[str, Tensor]:
        """Average over the nouns or images of all ranks."""
        valid = terms.valid.to(terms.nll.dtype)
        weights, count = valid, valid.sum()
        if self.normalise_by == 'image':
            images = noun_images.clamp(min=0).long()
            nouns_of = valid.new_zeros(num_images).index_add(
                0, images, valid)
            weights = valid / nouns_of.clamp(min=1)[images]
            count = (nouns_of > 0).sum()
        count, num_nouns, hits, alone = sum_over_ranks(
            torch.stack([
                count.to(valid), valid.sum(), terms.hit.sum().to(valid),
                terms.no_negatives.sum().to(valid)
            ]))
        count, num_nouns = count.clamp(min=1), num_nouns.clamp(min=1)
        # DDP averages gradients over the ranks, so multiply by their number
        loss = (weights * terms.nll).sum() * (get_world_size() / count)
        return dict(
            loss_n2r=self.loss_weight * loss,
            acc_n2r=100 * hits / num_nouns,
            no_negatives=100 * alone / num_nouns)


def _gather(part: _AllRegions) -> _AllRegions:
    """Gather the regions of all ranks, padded to the largest sizes."""
    if get_world_size() == 1:
        return part
    captions = part.caption_ids
    length = 0 if captions is None else captions.shape[1]
    images, count, length = largest_sizes(*part.region_valid.shape, length)
    regions, = full_precision(part.regions)
    valid = pad_to(part.region_valid.to(torch.uint8), images, count)
    if captions is not None:
        captions = gather_rows(pad_to(captions, images, length, fill=-1))
    first = get_rank() * images
    noun_images = part.noun_images
    return _AllRegions(
        gather_rows(pad_to(regions, images, count)),
        gather_rows(valid).bool(),
        (noun_images + first).masked_fill(noun_images < 0, -1), captions)
