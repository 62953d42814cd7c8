"""Segmentors of the host with metric heads."""
import warnings
from functools import lru_cache
from typing import List, Optional, Union

import torch
from mmengine.model import BaseModule
from mmseg.models.segmentors import CascadeEncoderDecoder, EncoderDecoder
from mmseg.utils import add_prefix
from torch import Tensor, nn

from mmpixsort.functional.checks import check_choice
from mmpixsort.functional.contrast.labels import (count_labels,
                                                  one_class_logit,
                                                  two_class_logits)
from mmpixsort.layers import tap
from mmpixsort.registry import MODELS
from mmpixsort.retrieval import PrototypeBank
from mmpixsort.retrieval.images import annotated_images

from .retrieval_bank import bank_in_memory
from .retrieval_embedding import padding_of
from .retrieval_inference import (RetrievalInference, segment_data,
                                  vote_logits)

CLASSIFIERS = ('joint', 'detached', 'none')


class MetricHeadMixin:
    """Add one or several metric heads to a segmentor of the host.

    A metric head adds its loss to the losses of the host. Its inputs are
    collected while the host computes its own losses: the levels of the
    backbone or neck, the feature that enters the classifier, and the logits
    of the classifier at low resolution. The parameters of the host keep
    their names.

    Prediction is that of the host, unless `test_cfg.retrieval` holds
    arguments of :class:`RetrievalInference`. Then `predict` retrieves from a
    bank of prototypes: `seg_logits` are the logs of vote fractions, and each
    result also has `pred_segments`.

    Args:
        args: Arguments of the segmentor of the host.
        metric_head: Config of a metric head, or a list of configs.
        classifier: Training of the classifier. 'joint' adds the losses of
            the host unchanged. 'detached' adds them too, but stops their
            gradient where the metric heads take their features (as in SPML).
            'none' computes no loss of the host, so that the classifier is
            not trained (as in SegSort).
        kwargs: Further arguments of the segmentor of the host.

    Raises:
        ValueError: If an option is out of range, or a metric head does not
            fit the decode head.
    """

    def __init__(self,
                 *args,
                 metric_head: Union[dict, List[dict]],
                 classifier: str = 'joint',
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        check_choice('classifier', classifier, CLASSIFIERS)
        self.classifier = classifier
        heads = metric_head if isinstance(metric_head, list) else [metric_head]
        built = [MODELS.build(head) for head in heads]
        for head in built:
            self._check_head(head)
        self.metric_head = (
            nn.ModuleList(built)
            if isinstance(metric_head, list) else built[0])
        options = self.test_cfg.get('retrieval') if self.test_cfg else None
        self.retrieval = (
            None if options is None else RetrievalInference(self, **options))
        if (classifier == 'none' and self.retrieval is not None
                and self.retrieval.classifier_weight):
            raise ValueError(
                "`classifier_weight` of the retrieval must be 0 with "
                "`classifier='none'`, which does not train the classifier, "
                f'got {self.retrieval.classifier_weight}')

    @property
    def metric_heads(self) -> List[BaseModule]:
        """The metric heads as a list."""
        if isinstance(self.metric_head, nn.ModuleList):
            return list(self.metric_head)
        return [self.metric_head]

    def _check_head(self, head: BaseModule) -> None:
        classes = count_labels(self.num_classes, self.out_channels)
        if head.num_classes != classes:
            why = ('for the labels 0 and 1 of a decode head with one output'
                   if self.out_channels == 1 else 'that of the decode head')
            raise ValueError(
                f'`num_classes` of the metric head must be {classes}, {why}, '
                f'got {head.num_classes}')
        if head.ignore_index != self._last_head.ignore_index:
            raise ValueError(
                f'`ignore_index` of the metric head must be '
                f'{self._last_head.ignore_index}, that of the decode head, '
                f'got {head.ignore_index}')

    @property
    def _last_head(self) -> nn.Module:
        if isinstance(self.decode_head, nn.ModuleList):
            return self.decode_head[-1]
        return self.decode_head

    def _tap_features(self):
        return tap(self.neck if self.with_neck else self.backbone)

    def _tap_classifier(self):
        """Collect the calls of the classifier, `conv_seg`.

        The decode head itself cannot be tapped: the host calls its `forward`
        directly, which runs no hooks.
        """
        return tap(
            getattr(self._last_head, 'conv_seg', None),
            detach=self.classifier == 'detached' and self._on_decoder)

    def loss(self, inputs: Tensor, data_samples: List) -> dict:
        """Return the host's losses and those of the metric heads."""
        with self._tap_features() as features, \
                self._tap_classifier() as classified:
            if self.classifier == 'none':
                # the losses of the host would need annotation
                self._forward(inputs)
                losses = dict(loss_classifier=self._untrained())
            else:
                losses = super().loss(inputs, data_samples)
        levels = features[-1][1]
        decoder_feature, logits = self._classified(classified)
        for i, head in enumerate(self.metric_heads):
            parts = head.loss(
                levels,
                data_samples,
                self.train_cfg,
                logits=logits,
                decoder_feature=decoder_feature)
            if isinstance(self.metric_head, nn.ModuleList):
                parts = add_prefix(parts, f'metric_{i}')
            losses.update(parts)
        return losses

    @property
    def _on_decoder(self) -> bool:
        return any(head.source == 'decoder' for head in self.metric_heads)

    def _decode_head_forward_train(self, inputs: List[Tensor],
                                   data_samples: List) -> dict:
        return super()._decode_head_forward_train(
            self._levels(inputs), data_samples)

    def _auxiliary_head_forward_train(self, inputs: List[Tensor],
                                      data_samples: List) -> dict:
        return super()._auxiliary_head_forward_train(
            self._levels(inputs, auxiliary=True), data_samples)

    def _levels(self, inputs: List[Tensor],
                auxiliary: bool = False) -> List[Tensor]:
        """Return the levels for a head of the host, detached if necessary.

        If a metric head takes the decoder feature, the decode head is not
        detached here but at its classifier; see `_tap_classifier`.
        """
        if self.classifier == 'detached' and (auxiliary
                                              or not self._on_decoder):
            return [level.detach() for level in inputs]
        return inputs

    def _untrained(self) -> Tensor:
        """Return a zero that depends on all parameters of the host's heads.

        DDP waits for a gradient of each of these parameters.
        """
        heads = [self.decode_head]
        if self.with_auxiliary_head:
            heads.append(self.auxiliary_head)
        return sum(p.flatten()[:0].sum() for head in heads
                   for p in head.parameters())

    def predict(self, inputs: Tensor, data_samples: Optional[List] = None):
        """Predict as the host does, or by retrieval if it is configured."""
        if self.retrieval is None:
            if self.classifier == 'none':
                _warn_untrained()
            return super().predict(inputs, data_samples)
        size = inputs.shape[2:]
        metas = [s.metainfo for s in data_samples] if data_samples else (
            [dict(ori_shape=size, img_shape=size)] * len(inputs))
        found = self.retrieval(inputs, metas)
        logits = torch.stack([
            vote_logits(item, size, padding_of(meta),
                        resize=self.retrieval.resize)
            for item, meta in zip(found, metas)
        ])
        if self.retrieval.classifier_weight:
            logits = self._mixed(logits, inputs, metas)
        if self.out_channels == 1 and logits.shape[1] == 2:
            logits = one_class_logit(logits, self._last_head.threshold)
        results = self.postprocess_result(logits, data_samples)
        for result, item in zip(results, found):
            result.pred_segments = segment_data(item, result)
        return results

    def _mixed(self, logits: Tensor, inputs: Tensor,
               metas: List[dict]) -> Tensor:
        """Return the logs of the votes, mixed with the classifier.

        Args:
            logits: Logs of vote fractions (B, C, H, W).
            inputs: Preprocessed images (B, 3, H, W).
            metas: Metainfo of each image.
        """
        own = self.inference(inputs, metas)
        if self.out_channels == 1:
            own = two_class_logits(own, self._last_head.threshold)
        if own.shape[1] != logits.shape[1]:
            raise ValueError(
                '`classifier_weight` of the retrieval must be 0 with a bank '
                f'of {logits.shape[1]} classes, as the classifier has '
                f'{own.shape[1]}, got {self.retrieval.classifier_weight}')
        weight = self.retrieval.classifier_weight
        shares = (1. - weight) * logits.exp() + weight * own.softmax(1)
        return shares.log()

    def build_bank(self,
                   cfg,
                   *,
                   dataset: Optional[dict] = None,
                   max_images: Optional[int] = None,
                   stage: str = 'test') -> PrototypeBank:
        """Build a bank of prototypes from the training images.

        All ranks must call it, since each one handles a part of the images.

        Args:
            cfg: Config of the run.
            dataset: Config of a data set of annotated images. None uses the
                training set.
            max_images: Number of images to use, evenly spread over the data
                set. None uses all.
            stage: 'test' or 'val'; its pipeline prepares the images of the
                training set.
        """
        return bank_in_memory(
            self, annotated_images(cfg, dataset, stage=stage),
            max_images=max_images)

    def _classified(self, calls: List) -> tuple:
        """Return the decoder feature and the class logits of the last call.

        Both are None if the classifier was not called, or returned no map.
        """
        if not calls or calls[-1][1].dim() != 4:
            return None, None
        feature, logits = calls[-1]
        if logits.shape[1] == 1:
            logits = two_class_logits(logits, self._last_head.threshold)
        return feature, logits

    @torch.no_grad()
    def extract_embedding(self, inputs: Tensor, index: int = 0) -> Tensor:
        """Return the unit embeddings (B, D, h, w) of a metric head.

        Args:
            inputs: Preprocessed images (B, 3, H, W).
            index: Index of the metric head.
        """
        with self._tap_features() as features, \
                self._tap_classifier() as classified:
            self._forward(inputs)
        feature, _ = self._classified(classified)
        return self.metric_heads[index].embed(features[-1][1], feature)


@lru_cache(maxsize=1)  # warns once in a process
def _warn_untrained() -> None:
    warnings.warn(
        "the prediction comes from a classifier that is not trained: "
        "`classifier='none'` does not train it. Set `test_cfg.retrieval` to "
        "predict by retrieval, or train the classifier with 'joint' or "
        "'detached'", stacklevel=3)


@MODELS.register_module()
class MetricEncoderDecoder(MetricHeadMixin, EncoderDecoder):
    """Add metric heads to :class:`mmseg.models.EncoderDecoder`.

    See :class:`MetricHeadMixin` for the arguments.

    Example:
        >>> model = MODELS.build(dict(
        ...     type='mmpixsort.MetricEncoderDecoder',
        ...     backbone=dict(type='mmseg.MobileNetV2', out_indices=(1, 2)),
        ...     decode_head=dict(
        ...         type='mmseg.FCNHead', in_channels=32, in_index=1,
        ...         channels=16, num_classes=19),
        ...     metric_head=dict(
        ...         type='mmpixsort.PixelContrastHead', in_channels=32,
        ...         source=1, embed_dims=64, num_classes=19),
        ...     test_cfg=dict(mode='whole')))
        >>> model.eval().extract_embedding(torch.zeros(1, 3, 32, 48)).shape
        torch.Size([1, 64, 4, 6])
    """


@MODELS.register_module()
class MetricCascadeEncoderDecoder(MetricHeadMixin, CascadeEncoderDecoder):
    """Add metric heads to :class:`mmseg.models.CascadeEncoderDecoder`.

    Use it for OCR, PointRend and other configs with a list as `decode_head`.
    Hard anchors are chosen by the logits of the last head. See
    :class:`MetricHeadMixin` for the arguments.
    """
