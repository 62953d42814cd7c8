"""Segment sorting as a branch of a segmentor.

Shapes: B images, C classes, N anchors, D embedding dims, P rows for
segments, which is a fixed number, used or not.
"""
from typing import List, NamedTuple, Optional, Sequence, Union

import torch
from mmengine.dist import get_rank, get_world_size
from torch import Tensor
from torch.nn.functional import interpolate

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.random import keyed_generator
from mmpixsort.functional.segments.prototypes import (CODE_BASE, find_segments,
                                                      join_codes, prototypes)
from mmpixsort.layers.head_parts import (Source, has_no_length,
                                         note_nonfinite, with_fixed,
                                         zero_loss)
from mmpixsort.layers.metric_head import MetricHead
from mmpixsort.registry import MODELS
from mmpixsort.seg.transforms.pack_segments import stack_oversegmentation
from mmpixsort.structures import KeyBlock
from mmpixsort.utils.gather import gather_rows, largest_sizes

SEGMENTS = ('clusters', 'oversegmentation')
# rows for segments that are reserved for each cluster: the labels of its
# pixels split a cluster into several segments
PER_CLUSTER = 4


class Sorting(NamedTuple):
    """Anchors and segments of a batch.

    Attributes:
        anchors: Embeddings (N, D) of the pixels.
        anchor_labels: Labels (N,) of the pixels, int64, -1 for a pixel that
            takes no part.
        own_key: Segment (N,) of each pixel, int64 in [0, P), -1 for none.
        prototypes: Prototypes (P, D) of the segments.
        labels: Labels (P,) of the segments, int64, -1 for a row that takes
            no part.
        num_found: Number () of segments, including those for which there is
            no row.
    """

    anchors: Tensor
    anchor_labels: Tensor
    own_key: Tensor
    prototypes: Tensor
    labels: Tensor
    num_found: Tensor


@MODELS.register_module()
class SegSortHead(MetricHead):
    """Train a segmentor with the segment sorting loss.

    In each iteration the head projects a feature to embeddings, cuts them
    into segments, and contrasts the pixels with the prototypes of the
    segments (Hwang et al., https://arxiv.org/abs/1910.06962).

    Use it as `metric_head` of :class:`MetricEncoderDecoder`. Its option
    `classifier` determines whether the softmax classifier is trained too,
    and its `test_cfg.retrieval` predicts with a bank of prototypes in place
    of the classifier. The defaults are those of the authors' released script
    for VOC 2012 on one device.

    Args:
        in_channels: Number of channels of the feature.
        num_classes: Number of classes C.
        source: Origin of the feature: the index of a level of the backbone
            or neck; indices of levels, which are resized to the first one
            and concatenated; or 'decoder', the feature that enters the
            classifier. In the paper the embedding replaces the classifier.
        embed_dims: Number of embedding dimensions D.
        projection: Config of the projection head.
        segmenter: Config of the clustering.
        segments: Kind of segments: 'clusters' are the clusters of the
            segmenter, split by semantic label; 'oversegmentation' are the
            regions of `gt_overseg`. Each region is then a class of its own,
            and no annotation is needed (section 3.4 of the paper).
        num_views: Number of consecutive images of a batch that are views of
            one image, as drawn by
            :class:`mmpixsort.seg.datasets.ViewsSampler`. The same region of
            these views is one class, so that its pixels attract each other
            across the views (the multiview cosegmentation of Ke et al.,
            https://arxiv.org/abs/2204.11432). It must be 1 for 'clusters'.
        loss: Config of the loss.
        sampler: Config of an anchor sampler, which draws pixels evenly over
            images and classes. None makes every pixel an anchor, as in the
            paper. It must be None with 'oversegmentation', which has no
            classes.
        bank: Config of the queue of prototypes of earlier iterations. None
            means no queue. It must be None with 'oversegmentation', since
            the same label means another region in the next iteration.
        warmup_iters: Number of iterations at the start in which the loss is
            0, while the bank is filled.
        ignore_index: Label of pixels that are ignored.

    Raises:
        ValueError: If an option is out of range, or two options exclude each
            other.
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 num_classes: int,
                 source: Source = -1,
                 embed_dims: int = 32,
                 projection: dict = dict(type='mmpixsort.ProjectionHead'),
                 segmenter: dict = dict(type='mmpixsort.KMeansSegmenter'),
                 segments: str = 'clusters',
                 num_views: int = 1,
                 loss: dict = dict(type='mmpixsort.SegSortLoss'),
                 sampler: Optional[dict] = None,
                 bank: Optional[dict] = None,
                 warmup_iters: int = 0,
                 ignore_index: int = 255) -> None:
        super().__init__(
            in_channels=in_channels,
            num_classes=num_classes,
            source=source,
            embed_dims=embed_dims,
            projection=projection,
            loss=loss,
            warmup_iters=warmup_iters,
            ignore_index=ignore_index)
        check_choice('segments', segments, SEGMENTS)
        for name, part in (('bank', bank), ('sampler', sampler)):
            if part is not None and segments == 'oversegmentation':
                raise ValueError(
                    f"`{name}` must be None for `segments` 'oversegmentation'"
                    f', which has labels for one iteration only, got {part}')
        check_count('num_views', num_views)
        if num_views > 1 and segments != 'oversegmentation':
            raise ValueError(
                f"`num_views` must be 1 unless `segments` is "
                f"'oversegmentation', as labels agree in all images anyway, "
                f'got {num_views}')
        self.segments = segments
        self.num_views = num_views
        self.segmenter = MODELS.build(segmenter)
        self.sampler = None if sampler is None else MODELS.build(
            with_fixed(sampler, num_classes=num_classes))
        self.bank = None if bank is None else MODELS.build(
            with_fixed(bank, embed_dims=embed_dims))

    def loss(self,
             inputs: Union[Tensor, Sequence[Tensor]],
             batch_data_samples: List,
             train_cfg: Optional[dict] = None,
             *,
             logits: Optional[Tensor] = None,
             decoder_feature: Optional[Tensor] = None) -> dict:
        """Return the loss of a batch, and values to log.

        Args:
            inputs: Levels of the backbone or neck.
            batch_data_samples: Data samples with ground truth.
            train_cfg: Training settings of the host; they are not used.
            logits: Logits (B, C, h', w') of the main classifier, from which
                the sampler learns which pixels are hard. With None, none is.
            decoder_feature: Feature (B, C', h', w') that entered the main
                classifier; required if `source` is 'decoder'.

        Returns:
            `loss_segsort` and, except in a warm-up without a bank,
            `segsort_segments`, the number of segments.
        """
        seed, iteration = self.clock.tick()
        counts = iteration >= self.warmup_iters
        if not counts and self.bank is None:
            return dict(loss_segsort=zero_loss(self))
        with torch.set_grad_enabled(counts and torch.is_grad_enabled()):
            embeddings = self.embed(inputs, decoder_feature)
            found = self._sort(embeddings, batch_data_samples, iteration)
            if self.sampler is not None:
                found = self._sample(
                    found, embeddings.shape, batch_data_samples, logits,
                    keyed_generator(seed, iteration, get_rank(),
                                    embeddings.device))
        losses = dict(segsort_segments=found.num_found.float())
        losses['loss_segsort'] = zero_loss(self) if not counts else (
            self.loss_module(
                found.anchors,
                found.anchor_labels,
                self._keys(found),
                # position of this rank's prototypes in the gathered keys
                own_key=found.own_key + get_rank() * len(found.labels)))
        if self.bank is not None:
            finite = found.prototypes.detach().isfinite().all(1)
            self.bank.enqueue(found.prototypes.detach(),
                              found.labels.masked_fill(~finite, -1))
        return losses

    def _sort(self, embeddings: Tensor, samples: List,
              iteration: int) -> Sorting:
        """Cut a batch into segments and compute their prototypes."""
        codes = self._codes(embeddings.detach(), samples)
        # ranks may have different numbers of images, but prototypes are
        # gathered, which needs an equal number of rows on all ranks
        most, = largest_sizes(len(embeddings))
        limit = self.segmenter.max_segments or (
            PER_CLUSTER * most * self.segmenter.num_clusters)
        found = find_segments(codes, limit)
        rows = embeddings.permute(0, 2, 3, 1).flatten(0, 2)
        means = prototypes(rows, found.segment_ids, limit)
        note_nonfinite(self.nonfinite_iter, rows, found.segment_ids,
                       iteration)
        if self.segments == 'clusters':
            labels = found.codes.remainder(CODE_BASE)
        else:
            labels = self._region_labels(found.codes)
        labels = labels.masked_fill(
            (found.codes < 0) | has_no_length(means), -1)
        anchor_labels = labels[found.segment_ids].masked_fill(
            (found.segment_ids < 0) | has_no_length(rows), -1)
        return Sorting(rows, anchor_labels, found.segment_ids, means, labels,
                       found.num_found)

    def _sample(self, found: Sorting, shape: torch.Size, samples: List,
                logits: Optional[Tensor],
                generator: torch.Generator) -> Sorting:
        """Replace the anchors by those that the sampler draws."""
        size = shape[2:]
        labels = self.labels_on(size, samples)
        if logits is not None and logits.shape[2:] != size:
            logits = interpolate(logits.detach(), size=size, mode='bilinear')
        pixel, anchor_labels = self.sampler.pick(labels, logits, generator)
        own_key = found.own_key[pixel]
        return found._replace(
            anchors=found.anchors[pixel],
            anchor_labels=anchor_labels.masked_fill(
                found.anchor_labels[pixel] < 0, -1),
            own_key=own_key.masked_fill(anchor_labels < 0, -1))

    def _codes(self, embeddings: Tensor, samples: List) -> Tensor:
        """Return the code (N,) of the segment of each pixel, -1 for none."""
        check_views(samples, self.num_views)
        size = embeddings.shape[2:]
        image = torch.arange(len(embeddings), device=embeddings.device)
        image = image[:, None].expand(-1, size.numel()).flatten()
        if self.segments == 'oversegmentation':
            regions = stack_oversegmentation(samples).to(image.device)
            regions = _resize_regions(regions, size)
            # our files hold ids below 65,534, but other pipelines may give
            # larger ones, for which only the first part of a code has room
            return join_codes(
                regions.flatten(), image, bounds=(2**31, len(embeddings)))
        labels = self.labels_on(size, samples)
        clusters = self.segmenter(embeddings, labels >= 0)
        return join_codes(
            image, clusters.flatten(), labels.flatten(),
            bounds=(len(embeddings), self.segmenter.num_clusters,
                    self.num_classes))

    def _region_labels(self, codes: Tensor) -> Tensor:
        """Return a label for each region of an image, unique over ranks."""
        view = codes.remainder(CODE_BASE)
        image = view.div(self.num_views, rounding_mode='floor')
        return (codes - view + image) * get_world_size() + get_rank()

    def _keys(self, found: Sorting) -> List[KeyBlock]:
        """Return the prototypes of all ranks, and those of the bank.

        The gradient also reaches the prototypes of other ranks, as if one
        process had the joint batch.
        """
        block = KeyBlock(
            gather_rows(found.prototypes), gather_rows(found.labels))
        return [block] if self.bank is None else [block, self.bank.read()]


def check_views(samples: Sequence, num_views: int) -> None:
    """Check that the images of a batch are views of one image in turn.

    Raises:
        ValueError: If `num_views` does not divide the number of images, or
            the views of an image have different paths.
    """
    if len(samples) % num_views:
        raise ValueError(
            f'`num_views` must divide the batch size on each device, got '
            f'{num_views} views for {len(samples)} images')
    paths = [sample.metainfo.get('img_path') for sample in samples]
    for start in range(0, len(samples), num_views):
        if len(set(paths[start:start + num_views])) > 1:
            raise ValueError(
                f'{num_views} consecutive images must be views of one image, '
                f'got {paths[start:start + num_views]}; set '
                "`train_dataloader.sampler.type` to 'mmpixsort.ViewsSampler' "
                'and its `num_views` to that of the head')


def _resize_regions(regions: Tensor, size: Sequence[int]) -> Tensor:
    """Resize region ids (B, H, W) to a grid by nearest neighbour.

    It is done in float64, which represents every id exactly.
    """
    resized = interpolate(regions[:, None].double(), size=tuple(size))
    return resized[:, 0].long()
