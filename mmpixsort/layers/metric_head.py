"""What the metric heads of segmentors have in common.

Shapes: B images, D embedding dims, h w size of the feature.
"""
from typing import List, Optional, Sequence, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.contrast.labels import resize_labels
from mmpixsort.registry import MODELS

from .head_parts import (Source, check_source, head_feature, stack_labels,
                         with_fixed)
from .schedule import TrainingClock


class MetricHead(BaseModule):
    """Project a feature to unit embeddings, on a schedule.

    Args:
        in_channels: Number of channels of the feature.
        num_classes: C of the labels.
        source: Where the feature comes from: the index of a level of the
            backbone or neck, indices of levels, which are resized to the
            first and concatenated, or 'decoder', the feature that enters
            the classifier.
        embed_dims: D.
        projection: Config of the projection head.
        loss: Config of the loss.
        warmup_iters: Iterations before the loss counts.
        ignore_index: Label that takes no part.

    Raises:
        ValueError: On options out of range, or a projection that does not
            fit.
    """

    # `embed` gives unit vectors, which are compared by cosine
    unit_embeddings = True

    def __init__(self, *, in_channels: int, num_classes: int,
                 source: Source, embed_dims: int, projection: dict,
                 loss: dict, warmup_iters: int, ignore_index: int) -> None:
        super().__init__()
        check_count('in_channels', in_channels)
        check_count('num_classes', num_classes)
        check_count('warmup_iters', warmup_iters, minimum=0)
        check_source(source)
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.source = source
        self.warmup_iters = warmup_iters
        self.ignore_index = ignore_index
        self.projection = MODELS.build(
            with_fixed(
                projection, in_channels=in_channels, embed_dims=embed_dims))
        self.loss_module = MODELS.build(loss)
        self.clock = TrainingClock()
        # first iteration with embeddings that were not finite; a hook reads
        # it at log intervals, so that a step does not wait for it
        self.register_buffer(
            'nonfinite_iter', torch.tensor(-1), persistent=False)

    def feature(self, inputs: Union[Tensor, Sequence[Tensor]],
                decoder_feature: Optional[Tensor]) -> Tensor:
        """Return the feature (B, in_channels, h, w) to project.

        Args:
            inputs: Levels of the backbone or neck.
            decoder_feature: Feature that entered the classifier, if known.

        Raises:
            ValueError: When the feature does not exist or has other
                channels.
        """
        return head_feature(
            inputs,
            decoder_feature,
            source=self.source,
            in_channels=self.in_channels)

    def embed(self,
              inputs: Union[Tensor, Sequence[Tensor]],
              decoder_feature: Optional[Tensor] = None) -> Tensor:
        """Return unit embeddings (B, D, h, w)."""
        return self.projection(self.feature(inputs, decoder_feature))

    def labels_on(self, size: Sequence[int],
                  batch_data_samples: List) -> Tensor:
        """Return the labels (B, h, w) on a grid, -1 where they are ignored.

        Args:
            size: h and w.
            batch_data_samples: Data samples with ground truth.
        """
        return resize_labels(
            stack_labels(batch_data_samples), size, self.ignore_index)
