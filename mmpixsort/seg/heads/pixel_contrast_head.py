"""Pixel contrast as a branch of a segmentor."""
from functools import partial
from typing import List, NamedTuple, Optional, Sequence, Union

import torch
from mmengine.dist import get_rank, get_world_size
from torch import Tensor, nn

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.contrast.queues import pixels_and_regions
from mmpixsort.functional.random import keyed_generator
from mmpixsort.layers.head_parts import (Source, has_no_length,
                                         note_nonfinite, read_fields,
                                         with_fixed, zero_loss)
from mmpixsort.layers.metric_head import MetricHead
from mmpixsort.registry import MODELS
from mmpixsort.structures import KeyBlock, LabeledEmbeddings
from mmpixsort.utils.gather import gather_labeled

KEY_SCOPES = ('batch', 'bank', 'batch_and_bank')


class ContrastKeys(NamedTuple):
    """Options for the keys that anchors are compared with.

    Attributes:
        scope: Source of the keys: 'batch', 'bank' or 'batch_and_bank'. None
            means both if there is a bank, and otherwise the batch.
        gather: Whether the anchors of other ranks are keys too. They get no
            gradient.
        num_bank_pixels: Number of pixels that enter the bank for each class
            in an image, in addition to the mean of the class; 10 in the
            authors' released configurations.
    """

    scope: Optional[str] = None
    gather: bool = False
    num_bank_pixels: int = 10

    def checked(self, has_bank: bool) -> 'ContrastKeys':
        """Return the options with the scope filled in.

        Args:
            has_bank: Whether the head has a bank.

        Raises:
            ValueError: If the scope names keys that do not exist, or another
                option does not fit.
        """
        check_count('keys.num_bank_pixels', self.num_bank_pixels)
        scope = self.scope
        if scope is None:
            scope = 'batch_and_bank' if has_bank else 'batch'
        check_choice('keys.scope', scope, KEY_SCOPES)
        if 'bank' in scope and not has_bank:
            raise ValueError(
                f'`bank` must be given for `keys.scope` {scope!r}, got None')
        if self.gather and 'batch' not in scope:
            raise ValueError(
                '`keys.gather` must be False without keys from the batch, '
                f'got True for `keys.scope` {scope!r}')
        return self._replace(scope=scope)


@MODELS.register_module()
class PixelContrastHead(MetricHead):
    """Train a segmentor with the pixel contrast loss.

    In each iteration the head projects a feature to embeddings, draws
    anchors, contrasts them with their keys, and enqueues rows in the bank
    (Wang et al., https://arxiv.org/abs/2101.11939).

    Use it as `metric_head` of :class:`MetricEncoderDecoder`. It also works
    as `auxiliary_head` of an unchanged segmentor of the host, which passes
    no logits: the sampler then treats no pixel as hard. The defaults are
    those of the authors' released HRNet configuration for Cityscapes, which
    has no bank.

    Args:
        in_channels: Number of channels of the feature.
        num_classes: Number of label values C; 2 for a classifier with one
            output channel.
        source: Origin of the feature: the index of a level of the backbone
            or neck (as in the paper); indices of levels, which are resized
            to the first one and concatenated; or 'decoder', the feature that
            enters the classifier.
        embed_dims: Number of embedding dimensions D.
        projection: Config of the projection head.
        loss: Config of the loss.
        sampler: Config of the anchor sampler.
        miner: Config of the key miner. None uses all keys.
        bank: Config of the class queue. None means no bank.
        keys: Fields of :class:`ContrastKeys`, as a dict.
        warmup_iters: Number of iterations at the start in which the loss is
            0 and is not computed, while the bank is filled. It is 5000 of
            40,000 in the authors' released configurations; set it to an
            eighth of a shorter schedule.
        ignore_index: Label of pixels that are ignored.

    Raises:
        ValueError: If an option is out of range, or the bank does not fit.
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 num_classes: int,
                 source: Source = -1,
                 embed_dims: int = 256,
                 projection: dict = dict(type='mmpixsort.ProjectionHead'),
                 loss: dict = dict(type='mmpixsort.PixelContrastLoss'),
                 sampler: dict = dict(type='mmpixsort.HardAnchorSampler'),
                 miner: Optional[dict] = None,
                 bank: Optional[dict] = None,
                 keys: dict = dict(),
                 warmup_iters: int = 5000,
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
        self.keys = read_fields(ContrastKeys, 'keys', keys).checked(
            bank is not None)
        self.sampler = MODELS.build(
            with_fixed(sampler, num_classes=num_classes))
        self.miner = None if miner is None else MODELS.build(miner)
        self.bank = None if bank is None else MODELS.build(
            with_fixed(
                bank,
                num_classes=num_classes,
                embed_dims=embed_dims,
                num_sections=2))

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
            logits: Logits (B, C, h', w') of the main classifier. With None,
                no pixel is hard.
            decoder_feature: Feature (B, C', h', w') that entered the main
                classifier; required if `source` is 'decoder'.

        Returns:
            `loss_pixel_contrast` and, after the warm-up,
            `pixel_contrast_anchors`, the number of anchors.
        """
        seed, iteration = self.clock.tick()
        counts = iteration >= self.warmup_iters
        feature = self.feature(inputs, decoder_feature)
        labels = self.labels_on(feature.shape[2:], batch_data_samples)
        generator = keyed_generator(seed, iteration, get_rank(),
                                    labels.device)
        losses = dict()
        if counts:
            embeddings = self.projection(feature)
            losses.update(
                self._contrast(embeddings, labels, logits, iteration,
                               generator))
        else:
            losses['loss_pixel_contrast'] = zero_loss(self)
        if self.bank is not None:
            if not counts:
                with torch.no_grad():
                    embeddings = self.projection(feature)
            self._fill_bank(embeddings.detach(), labels, iteration, generator)
        return losses

    def _contrast(self, embeddings: Tensor, labels: Tensor,
                  logits: Optional[Tensor], iteration: int,
                  generator: torch.Generator) -> dict:
        """Return the loss and the number of anchors."""
        if logits is not None and logits.shape[2:] != embeddings.shape[2:]:
            logits = nn.functional.interpolate(
                logits.detach(), size=embeddings.shape[2:], mode='bilinear')
        anchors = self.sampler(embeddings, labels, logits, generator)
        note_nonfinite(self.nonfinite_iter, anchors.embeddings,
                       anchors.labels, iteration)
        anchors = anchors._replace(labels=anchors.labels.masked_fill(
            has_no_length(anchors.embeddings), -1))
        loss = self.loss_module(
            anchors.embeddings,
            anchors.labels,
            self._keys(anchors),
            own_key=0 if 'batch' in self.keys.scope else None,
            miner=self.miner and partial(self.miner, generator=generator))
        num_anchors = (anchors.labels >= 0).sum().float()
        return dict(
            loss_pixel_contrast=loss,
            pixel_contrast_anchors=num_anchors)

    def _keys(self, anchors: LabeledEmbeddings) -> List[KeyBlock]:
        """Return the blocks of keys, those of the own batch first."""
        blocks = []
        if 'batch' in self.keys.scope:
            blocks.append(KeyBlock(*anchors))
            if self.keys.gather and get_world_size() > 1:
                blocks.append(_keys_of_others(anchors))
        if 'bank' in self.keys.scope:
            blocks.append(self.bank.read())
        return blocks

    @torch.no_grad()
    def _fill_bank(self, embeddings: Tensor, labels: Tensor, iteration: int,
                   generator: torch.Generator) -> None:
        rows = pixels_and_regions(
            embeddings,
            labels,
            num_classes=self.num_classes,
            num_pixels=self.keys.num_bank_pixels,
            generator=generator)
        finite = note_nonfinite(self.nonfinite_iter, rows.embeddings,
                                rows.labels, iteration)
        gone = ~finite | has_no_length(rows.embeddings)
        self.bank.enqueue(rows.embeddings, rows.labels.masked_fill(gone, -1),
                          rows.sections)


def _keys_of_others(anchors: LabeledEmbeddings) -> KeyBlock:
    """Return the anchors of all ranks, with label -1 for this rank's own."""
    keys, labels = gather_labeled(
        anchors.embeddings.detach(), anchors.labels)
    labels = labels.unflatten(0, (get_world_size(), -1))
    labels[get_rank()] = -1
    return KeyBlock(keys, labels.flatten())
