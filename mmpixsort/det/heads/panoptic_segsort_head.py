"""The head of panoptic segment sorting.

Shapes: B images, T classes of things, S of stuff, C = T + S, D embedding
dims, h w size of the embedding, N = B * h * w, P segments of a batch.
"""
from typing import List, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import get_rank
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_choice
from mmpixsort.functional.segments.graph import (pair_statistics,
                                                 segment_neighbors)
from mmpixsort.layers import TrainingClock
from mmpixsort.layers.head_parts import (note_nonfinite, read_fields,
                                         with_fixed)
from mmpixsort.registry import MODELS
from mmpixsort.structures import KeyBlock
from mmpixsort.utils.gather import gather_rows, largest_sizes

from .panoptic_head import PanopticHead
from .panoptic_partition import Partition, SegmentCut, partition_batch
from .panoptic_results import ImageMaps, panoptic_of_image
from .panoptic_rules import PanopticRules
from .panoptic_targets import (STUFF, PanopticIds, PanopticTargets,
                               panoptic_ids)

PAST = 1 << 50  # first id of the keys of a bank, above the ids of all pixels
UNMEASURED = 2.  # not a cosine; marks a threshold that was not measured


@MODELS.register_module()
class PanopticSegSortHead(PanopticHead):
    """Panoptic head that finds instances by sorting and merging segments.

    It follows Panoptic Segment Sorting (Hwang et al., OpenReview 1eKz1kjHO1,
    later MULL 2021). The method section of that paper is not public, so the
    head is a reconstruction, see docs/panoptic_segsort.md. A softmax
    predicts the classes.

    In training, the annotated regions are cut into segments. The loss
    attracts each pixel to the segments of its own region and repels it from
    the others, including all things of other images. In the test, connected
    parts of a class of things are cut into segments, and neighbouring
    segments merge while their mean cosine is above a threshold.

    Args:
        in_channels: Number of channels of the feature that is embedded.
        num_things: Number of classes of things T, which come first.
        num_stuff: Number of classes of stuff S.
        in_index: Index of the level of the backbone or neck, or indices of
            levels to resize to the first one and concatenate. It is not used
            with a decoder.
        embed_dims: Number of embedding dimensions D; 32 in SegSort.
        trunk: Fields of :class:`~mmpixsort.det.heads.embedding_trunk.Trunk`:
            `decoder`, `channels`, `num_convs`, `coordinates`, `norm_cfg`,
            `isolated`. A decoder must have C classes.
        loss: Config of the loss of the embeddings.
        semantic_weight: Weight of the cross-entropy, 0 or more.
        cut: Fields of
            :class:`~mmpixsort.det.heads.panoptic_partition.SegmentCut`, the
            options for cutting regions into segments.
        stuff_across_images: Relation between stuff of one class in two
            images: 'negative', 'ignore' or 'positive'.
        bank: Config of a PrototypeQueue whose prototypes of earlier
            iterations are further keys of the loss: negatives, except that
            `stuff_across_images` applies to stuff. None uses no bank.
        rules: Fields of
            :class:`~mmpixsort.det.heads.panoptic_rules.PanopticRules`, the
            rules for merging segments and dropping small areas in the test.
            Without a threshold, LinkageThresholdHook must measure one.

    Raises:
        ValueError: If an option is out of range, parts do not fit, or there
            are more than 255 classes, because 255 is void.
    """

    unit_embeddings = True

    def __init__(self,
                 *,
                 in_channels: int,
                 num_things: int,
                 num_stuff: int,
                 in_index: Union[int, Sequence[int]] = -1,
                 embed_dims: int = 32,
                 trunk: dict = dict(),
                 loss: dict = dict(type='mmpixsort.PanopticSegSortLoss'),
                 semantic_weight: float = 1.,
                 cut: dict = dict(),
                 stuff_across_images: str = 'ignore',
                 bank: Optional[dict] = None,
                 rules: dict = dict()) -> None:
        super().__init__(
            in_channels=in_channels,
            num_things=num_things,
            num_stuff=num_stuff,
            in_index=in_index,
            embed_dims=embed_dims,
            trunk=trunk,
            loss=loss,
            semantic_weight=semantic_weight,
            rules=rules)
        check_choice('stuff_across_images', stuff_across_images, STUFF)
        self.stuff_across_images = stuff_across_images
        self.cut = read_fields(SegmentCut, 'cut', cut).check()
        self.bank = None if bank is None else MODELS.build(
            with_fixed(bank, embed_dims=embed_dims))
        self.clock = TrainingClock()
        self.register_buffer('threshold', torch.tensor(UNMEASURED))
        # number of the iteration whose weights the threshold belongs to
        self.register_buffer('threshold_iter', torch.tensor(-1))
        self.register_buffer(
            'nonfinite_iter', torch.tensor(-1), persistent=False)

    def embed(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """Return logits (B, C, h, w) and unit embeddings (B, D, h, w)."""
        logits, embeddings = self(inputs)
        return logits, normalize(embeddings, dim=1)

    def loss(self, inputs: Sequence[Tensor],
             batch_data_samples: List) -> dict:
        """Return the losses of a batch, and diagnostics for the log."""
        logits, embeddings = self.embed(inputs)
        targets = self.targets(batch_data_samples)
        # ranks may have different numbers of images
        most, = largest_sizes(len(embeddings))
        cut = partition_batch(embeddings, targets, cut=self.cut, most=most)
        note_nonfinite(self.nonfinite_iter, cut.rows, cut.segment_ids,
                       self.clock.tick()[1])
        losses = dict(
            loss_panoptic_segsort=self.sorting_loss(cut, targets),
            loss_semantic=self.semantic_loss(logits, targets),
            panoptic_segments=cut.num_found.float())
        if self.bank is not None:
            self._enqueue(cut, targets)
        return losses

    def sorting_loss(self, cut: Partition,
                     targets: PanopticTargets) -> Tensor:
        """Return the sorting loss of the pixels of a batch.

        Args:
            cut: Segments of the batch.
            targets: Ground truth of the batch.
        """
        own = panoptic_ids(
            cut.regions, cut.images, targets,
            stuff_across_images=self.stuff_across_images)
        inside = cut.segment_ids >= 0
        pixels = PanopticIds(*(
            part[cut.segment_ids].masked_fill(~inside, -1) for part in own))
        areas = cut.areas.flatten()[
            cut.pixel_images * cut.areas.shape[1]
            + cut.pixel_regions.clamp(min=0)]
        # prototypes of all ranks, with gradient; the prototypes of this rank
        # start at `first`
        blocks = [KeyBlock(gather_rows(cut.prototypes), gather_rows(own.ids))]
        groups = gather_rows(own.groups)
        first = get_rank() * len(own.ids)
        if self.bank is not None:
            past, past_groups = self._past()
            blocks.append(past)
            groups = torch.cat([groups, past_groups])
        return self.loss_module(
            cut.rows, pixels.ids, blocks, own_key=cut.segment_ids + first,
            areas=areas, anchor_groups=pixels.groups, key_groups=groups)

    def _past(self) -> Tuple[KeyBlock, Tensor]:
        """Return the keys of the bank and their groups.

        A label in the bank is a class of stuff in [0, S), or S for a thing.
        """
        keys, labels = self.bank.read()
        numbers = torch.arange(len(labels), device=labels.device)
        is_stuff = (labels >= 0) & (labels < self.num_stuff)
        ids, groups = PAST + numbers, torch.full_like(labels, -1)
        if self.stuff_across_images == 'positive':
            ids = torch.where(is_stuff, labels, ids)
        elif self.stuff_across_images == 'ignore':
            groups = torch.where(is_stuff, labels, groups)
        return KeyBlock(keys, ids.masked_fill(labels < 0, -1)), groups

    @torch.no_grad()
    def _enqueue(self, cut: Partition, targets: PanopticTargets) -> None:
        """Add the prototypes of this iteration to the bank."""
        keys = cut.prototypes.detach()
        stuff = cut.regions - targets.num_things_seen
        labels = torch.where(stuff >= 0, stuff, self.num_stuff)
        gone = (cut.regions < 0) | ~keys.isfinite().all(1)
        self.bank.enqueue(keys, labels.masked_fill(gone, -1))

    @torch.no_grad()
    def pair_statistics(self, inputs: Sequence[Tensor],
                        batch_data_samples: List, *,
                        touching: bool = True) -> Tensor:
        """Return sums and counts (2, 2) of cosines within and between things.

        They are summed over the images of a batch, see
        :func:`mmpixsort.functional.segments.graph.pair_statistics`.

        Args:
            inputs: Features of annotated images.
            batch_data_samples: Data samples with the panoptic maps.
            touching: Whether to count only pairs of segments that share a
                side, because merging starts from these, rather than all
                pairs of an image.
        """
        _, embeddings = self.embed(inputs)
        targets = self.targets(batch_data_samples)
        cut = partition_batch(embeddings, targets, cut=self.cut)
        count = len(cut.regions)
        areas = torch.zeros(count + 1, device=cut.rows.device).index_add_(
            0, cut.segment_ids + 1, cut.rows.new_ones(len(cut.rows)).float())
        is_thing = cut.regions < targets.num_things_seen
        maps = cut.segment_ids.view(len(embeddings), *embeddings.shape[2:])
        total = 0.
        for i, ids in enumerate(maps):
            own = cut.images == get_rank() * len(embeddings) + i
            total = total + pair_statistics(
                cut.prototypes,
                (cut.regions + 1).masked_fill(~(own & is_thing), 0),
                areas[1:],
                adjacency=segment_neighbors(ids, count) if touching else None)
        return total

    def panoptic_of(self, maps: ImageMaps) -> dict:
        """Return the panoptic map and the instances of one image."""
        return panoptic_of_image(
            maps.logits, maps.embeddings, maps.size,
            num_things=self.num_things, cut=self.cut.test(),
            rules=self.test_rules(), extent=maps.extent)

    def test_rules(self) -> PanopticRules:
        """Return the rules, with measured or default values filled in.

        Raises:
            ValueError: If the threshold was neither given nor measured.
        """
        rules = self.rules
        if rules.merge == 'meanshift' and rules.concentration is None:
            rules = rules._replace(
                concentration=self.loss_module.concentration)
        if rules.threshold is not None:
            return rules
        measured = float(self.threshold)
        if measured > 1:
            raise ValueError(
                '`rules.threshold` must be a cosine, got None, and no '
                'threshold was measured: put mmpixsort.LinkageThresholdHook '
                'into `custom_hooks`')
        return rules._replace(threshold=measured)
