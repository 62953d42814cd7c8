"""One embedding of stuff and things, in which every instance lies apart.

Shapes: B images, T classes of things, S of stuff, C = T + S, D embedding
dims, h w size of the embedding, N = B * h * w, P segments of a batch.
"""
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import get_rank
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative)
from mmpixsort.functional.segments.graph import (pair_statistics,
                                                 segment_neighbors)
from mmpixsort.functional.segments.partition import partition_regions
from mmpixsort.functional.segments.prototypes import (CODE_BASE, find_segments,
                                                      join_codes, prototypes)
from mmpixsort.layers import TrainingClock
from mmpixsort.layers.head_parts import (has_no_length, note_nonfinite,
                                         with_fixed)
from mmpixsort.registry import MODELS
from mmpixsort.structures import KeyBlock
from mmpixsort.utils.gather import gather_rows, largest_sizes

from .embedding_trunk import EmbeddingTrunk, resize_maps, semantic_loss
from .panoptic_results import maps_of_images, panoptic_of_image
from .panoptic_rules import PanopticRules
from .panoptic_targets import (STUFF, VOID, PanopticIds, PanopticTargets,
                               panoptic_ids, panoptic_targets)

PAST = 1 << 50  # ids of keys of the bank: those of no pixel
UNMEASURED = 2.  # no cosine


class Partition(NamedTuple):
    """Segments of a batch.

    Attributes:
        rows: (N, D) unit embeddings.
        segment_ids: (N,), -1: none.
        prototypes: (P, D).
        regions: (P,) in its image, -1: unused.
        images: (P,) of all ranks.
        areas: (B, R) pixels of regions.
        pixel_regions: (N,).
        pixel_images: (N,) in the batch.
        num_found: () segments that there are.
    """

    rows: Tensor
    segment_ids: Tensor
    prototypes: Tensor
    regions: Tensor
    images: Tensor
    areas: Tensor
    pixel_regions: Tensor
    pixel_images: Tensor
    num_found: Tensor


@MODELS.register_module()
class PanopticSegSortHead(EmbeddingTrunk):
    """Classes by a softmax, instances by sorting segments.

    After Panoptic Segment Sorting (Hwang et al., OpenReview 1eKz1kjHO1,
    later MULL 2021), whose body is not public as text: a reconstruction, see
    docs/panoptic_segsort.md. Regions of the ground truth are cut by their
    area, pixels are sorted to the segments of their instance, things of
    other images are negatives. In the test, connected parts of a class of
    things are cut into segments, and neighbours merge while their mean
    cosine is above a threshold.

    Args:
        in_channels: Channels of the feature.
        num_things: T, classes that come first.
        num_stuff: S.
        in_index: Level or levels of the backbone or neck.
        decoder: Config of a decode head of MMSegmentation with C classes,
            see InstanceEmbeddingHead.
        channels: Number of channels of the convolutions between the feature
            and both branches.
        num_convs: Number of 3 x 3 convolutions, 0 or more.
        embed_dims: D; 32 in SegSort.
        coordinates: y and x beside the feature: 'relative' to the map,
            'absolute' (see EmbeddingTrunk), or None.
        norm_cfg: Normalisation of the convolutions.
        loss: Config of the loss of embeddings.
        semantic_weight: Weight of the cross-entropy, 0 or more.
        cell_area: Pixels of the embedding by segment; larger regions are
            cut.
        max_clusters: Segments of a region at most.
        num_iters: Number of iterations of the clustering; 10 in SegSort.
        location_weight: In the clustering, of locations in units of 64
            pixels of the embedding.
        stuff_across_images: Stuff of one class in two images is 'negative',
            'ignore' or 'positive' of each other.
        bank: Config of a PrototypeQueue of negatives; None: none.
        max_segments: Room for the segments of an image; its largest stay.
        gather_keys: Take the prototypes of all ranks, with gradient.
        test_cell_area: As `cell_area`, in the test.
        test_max_clusters: As `max_clusters`, in the test, where a region is
            a connected part of a class.
        rules: Rules of merging and cleaning in the test, see PanopticRules;
            `threshold` may be None: that which LinkageThresholdHook measures.
        init_cfg: Initialisation of weights, as in the host.

    Raises:
        ValueError: On options out of range, parts that do not fit, or more
            than 255 classes, as 255 is void.
    """

    unit_embeddings = True

    def __init__(self,
                 *,
                 in_channels: int,
                 num_things: int,
                 num_stuff: int,
                 in_index: Union[int, Sequence[int]] = -1,
                 decoder: Optional[dict] = None,
                 channels: int = 64,
                 num_convs: int = 1,
                 embed_dims: int = 32,
                 coordinates: Optional[str] = None,
                 norm_cfg: Optional[dict] = dict(type='BN'),
                 loss: dict = dict(type='mmpixsort.PanopticSegSortLoss'),
                 semantic_weight: float = 1.,
                 cell_area: float = 64.,
                 max_clusters: int = 9,
                 num_iters: int = 10,
                 location_weight: float = 1.,
                 stuff_across_images: str = 'ignore',
                 bank: Optional[dict] = None,
                 max_segments: int = 256,
                 gather_keys: bool = True,
                 test_cell_area: float = 64.,
                 test_max_clusters: int = 64,
                 rules: dict = dict(),
                 init_cfg: Optional[dict] = None) -> None:
        check_count('num_things', num_things)
        check_count('num_stuff', num_stuff, minimum=0)
        if num_things + num_stuff > VOID:
            raise ValueError(
                f'`num_things` + `num_stuff` must be at most {VOID}, which '
                f'is void in a map of labels, got {num_things + num_stuff}; '
                'leave classes out of the metainfo of the data set')
        super().__init__(
            in_channels=in_channels,
            num_outputs=num_things + num_stuff,
            in_index=in_index,
            decoder=decoder,
            channels=channels,
            num_convs=num_convs,
            embed_dims=embed_dims,
            coordinates=coordinates,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg)
        check_non_negative('semantic_weight', semantic_weight)
        check_choice('stuff_across_images', stuff_across_images, STUFF)
        check_count('max_segments', max_segments)
        self.num_things = num_things
        self.num_stuff = num_stuff
        self.num_classes = num_things + num_stuff
        self.ignore_index = VOID
        self.semantic_weight = semantic_weight
        self.stuff_across_images = stuff_across_images
        self.max_segments = max_segments
        self.gather_keys = gather_keys
        self.train_cut = dict(
            cell_area=cell_area, max_clusters=max_clusters,
            num_iters=num_iters, location_weight=location_weight)
        self.test_cut = dict(
            self.train_cut, cell_area=test_cell_area,
            max_clusters=test_max_clusters)
        self.rules = PanopticRules(**rules).check()
        self.loss_module = MODELS.build(loss)
        self.bank = None if bank is None else MODELS.build(
            with_fixed(bank, embed_dims=embed_dims))
        self.clock = TrainingClock()
        self.register_buffer('threshold', torch.tensor(UNMEASURED))
        # the iteration whose weights it was measured with
        self.register_buffer('threshold_iter', torch.tensor(-1))
        self.register_buffer(
            'nonfinite_iter', torch.tensor(-1), persistent=False)

    def embed(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """Return logits (B, C, h, w) and unit embeddings (B, D, h, w)."""
        logits, embeddings = self(inputs)
        return logits, normalize(embeddings, dim=1)

    def loss(self, inputs: Sequence[Tensor],
             batch_data_samples: List) -> dict:
        """Return losses and diagnostics of a batch."""
        logits, embeddings = self.embed(inputs)
        size = batch_data_samples[0].metainfo['batch_input_shape']
        targets = panoptic_targets(
            batch_data_samples, size, num_things=self.num_things,
            num_classes=self.num_classes)
        # ranks may have different numbers of images
        most, = largest_sizes(len(embeddings))
        cut = self._partition(embeddings, targets, most)
        note_nonfinite(self.nonfinite_iter, cut.rows, cut.segment_ids,
                       self.clock.tick()[1])
        losses = dict(
            loss_panoptic_segsort=self._sort(cut, targets),
            loss_semantic=self.semantic_weight * semantic_loss(
                resize_maps(logits, size), targets.semantic),
            panoptic_segments=cut.num_found.float())
        if self.bank is not None:
            self._enqueue(cut, targets)
        return losses

    def _partition(self, embeddings: Tensor, targets: PanopticTargets,
                   most: Optional[int] = None) -> Partition:
        """Cut the regions of a batch and average their pixels.

        Args:
            embeddings: (B, D, h, w).
            targets: Ground truth of the batch.
            most: Number of images that there is room for, on the rank with
                the most of them; None: B.
        """
        batch, _, height, width = embeddings.shape
        most = most or batch
        # the centre of a cell, which a resized logit is of too; in float64,
        # which holds every region
        regions = interpolate(
            targets.regions[:, None].double(), size=(height, width),
            mode='nearest-exact')[:, 0].long()
        num_regions = max(1, targets.num_regions)
        clusters = partition_regions(
            embeddings.detach(), regions, num_regions=num_regions,
            **self.train_cut)
        kept, num_found = largest_clusters(
            regions, clusters, num_regions, self.train_cut['max_clusters'],
            self.max_segments)
        image = torch.arange(batch, device=regions.device)
        image = image.repeat_interleave(height * width)
        region = regions.flatten()
        found = find_segments(
            join_codes(
                image, region, kept.flatten(),
                bounds=(batch, num_regions, self.train_cut['max_clusters'])),
            most * self.max_segments)
        rows = embeddings.permute(0, 2, 3, 1).flatten(0, 2)
        codes = found.codes // CODE_BASE
        slots = (image * num_regions + region).masked_fill(
            region < 0, batch * num_regions)
        areas = torch.zeros(
            batch * num_regions + 1, device=slots.device).scatter_add_(
                0, slots, torch.ones_like(slots, dtype=torch.float32))
        means = prototypes(rows, found.segment_ids, len(found.codes))
        return Partition(
            rows, found.segment_ids.masked_fill(has_no_length(rows), -1),
            means,
            codes.remainder(CODE_BASE).masked_fill(
                (found.codes < 0) | has_no_length(means), -1),
            codes // CODE_BASE + get_rank() * most,
            areas[:-1].view(batch, num_regions), region, image, num_found)

    def _sort(self, cut: Partition, targets: PanopticTargets) -> Tensor:
        """Return the loss of the embeddings."""
        own = panoptic_ids(
            cut.regions, cut.images, targets,
            stuff_across_images=self.stuff_across_images)
        inside = cut.segment_ids >= 0
        pixels = PanopticIds(*(
            part[cut.segment_ids].masked_fill(~inside, -1) for part in own))
        areas = cut.areas.flatten()[
            cut.pixel_images * cut.areas.shape[1]
            + cut.pixel_regions.clamp(min=0)]
        keys, groups, first = KeyBlock(cut.prototypes, own.ids), own.groups, 0
        if self.gather_keys:
            keys = KeyBlock(*map(gather_rows, keys))
            groups = gather_rows(groups)
            first = get_rank() * len(own.ids)
        blocks = [keys]
        if self.bank is not None:
            past, past_groups = self._past()
            blocks.append(past)
            groups = torch.cat([groups, past_groups])
        return self.loss_module(
            cut.rows, pixels.ids, blocks, own_key=cut.segment_ids + first,
            areas=areas, anchor_groups=pixels.groups, key_groups=groups)

    def _past(self) -> Tuple[KeyBlock, Tensor]:
        """Return the keys of the bank, which are negatives, and groups.

        A label there is a class of stuff, or S for a thing.
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
        """Keep the prototypes of this iteration."""
        keys = cut.prototypes.detach()
        stuff = cut.regions - targets.num_things_seen
        labels = torch.where(stuff >= 0, stuff, self.num_stuff)
        gone = (cut.regions < 0) | ~keys.isfinite().all(1)
        self.bank.enqueue(keys, labels.masked_fill(gone, -1))

    @torch.no_grad()
    def pair_statistics(self, inputs: Sequence[Tensor],
                        batch_data_samples: List, *,
                        touching: bool = True) -> Tensor:
        """Return sums of cosines within and between things (2, 2).

        See :func:`mmpixsort.functional.segments.graph.pair_statistics`.

        Args:
            inputs: Features of annotated images.
            batch_data_samples: With their panoptic maps.
            touching: Only pairs of segments that share a side, from which
                merging starts; else all pairs of an image.
        """
        _, embeddings = self.embed(inputs)
        size = batch_data_samples[0].metainfo['batch_input_shape']
        targets = panoptic_targets(
            batch_data_samples, size, num_things=self.num_things,
            num_classes=self.num_classes)
        cut = self._partition(embeddings, targets)
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

    def predict(self,
                inputs: Sequence[Tensor],
                batch_data_samples: List,
                rescale: bool = True) -> List:
        """Return the panoptic map and the instances of every image."""
        return self.results(
            *self.embed(inputs), batch_data_samples, rescale=rescale)

    def results(self, logits: Tensor, embeddings: Tensor,
                batch_data_samples: List, rescale: bool = True) -> List:
        """Return what `predict` does, of logits and unit embeddings.

        Args:
            logits: (B, C, h, w).
            embeddings: (B, D, h, w).
            batch_data_samples: Data samples of the images.
            rescale: Whether results have the original size of the image.
        """
        rules = self._rules()
        return [
            panoptic_of_image(
                maps.logits, maps.embeddings, maps.size,
                num_things=self.num_things, cut=self.test_cut, rules=rules,
                extent=maps.extent)
            for maps in maps_of_images(
                logits, embeddings, batch_data_samples, rescale)]

    def _rules(self) -> PanopticRules:
        """Return the rules with a threshold and a concentration.

        Raises:
            ValueError: When the threshold was neither given nor measured.
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
                '`rules.threshold` must be a cosine, got None, and none was '
                'measured: put mmpixsort.LinkageThresholdHook into '
                '`custom_hooks`')
        return rules._replace(threshold=measured)


def largest_clusters(regions: Tensor, clusters: Tensor, num_regions: int,
                     max_clusters: int,
                     max_segments: int) -> Tuple[Tensor, Tensor]:
    """Leave the largest clusters of each image, with no wait for a count.

    Args:
        regions: (B, h, w) in [0, R), -1: none.
        clusters: (B, h, w) in [0, M) within each region, -1: none.
        num_regions: R.
        max_clusters: M.
        max_segments: Clusters of an image that stay.

    Returns:
        (B, h, w) as `clusters`, -1 where one is left out, and () how many
        there were in the batch.
    """
    count = num_regions * max_clusters
    slots = (regions * max_clusters + clusters).masked_fill(
        regions < 0, count).flatten(1)
    areas = slots.new_zeros(len(slots), count + 1).scatter_add_(
        1, slots, torch.ones_like(slots))[:, :-1]
    kept = torch.zeros(
        len(slots), count + 1, dtype=torch.bool, device=slots.device)
    kept.scatter_(
        1, areas.topk(min(count, max_segments), dim=1).indices, True)
    stays = kept.gather(1, slots).view_as(clusters)
    return clusters.masked_fill(~stays, -1), (areas > 0).sum()
