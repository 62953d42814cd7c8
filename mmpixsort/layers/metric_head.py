"""Base class of the metric heads of segmentors.

Shapes: B images, D embedding dims, C classes, h w size of the feature.
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
    """Project a feature of the host to unit embeddings.

    This is the base class of the metric heads of segmentors. A subclass
    computes the loss.

    Args:
        in_channels: Number of channels of the feature that is projected.
        num_classes: Number of classes C of the labels.
        source: Source of the feature: the index of a level of the backbone
            or neck; indices of levels, which are resized to the first one
            and concatenated; or 'decoder', the feature that enters the
            classifier.
        embed_dims: Number of embedding dimensions D.
        projection: Config of the projection head.
        loss: Config of the loss.
        warmup_iters: Number of first iterations in which the loss is 0.
        ignore_index: Label of ignored pixels.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If an option is out of range, or the config of the
            projection contradicts `in_channels` or `embed_dims`.
    """

    # `embed` returns unit vectors, which are compared by cosine
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
        # First iteration with embeddings that were not finite. A hook reads
        # it at log intervals, so that no iteration waits for the device.
        self.register_buffer(
            'nonfinite_iter', torch.tensor(-1), persistent=False)

    def feature(self, inputs: Union[Tensor, Sequence[Tensor]],
                decoder_feature: Optional[Tensor]) -> Tensor:
        """Return the feature (B, in_channels, h, w) to project.

        Args:
            inputs: Levels (B, C, h, w) of the backbone or neck.
            decoder_feature: Input (B, C, h, w) of the classifier; None if it
                is not known.

        Raises:
            ValueError: If the feature does not exist or has another number
                of channels.
        """
        return head_feature(
            inputs,
            decoder_feature,
            source=self.source,
            in_channels=self.in_channels)

    def embed(self,
              inputs: Union[Tensor, Sequence[Tensor]],
              decoder_feature: Optional[Tensor] = None) -> Tensor:
        """Return unit embeddings (B, D, h, w); see :meth:`feature`."""
        return self.projection(self.feature(inputs, decoder_feature))

    def labels_on(self, size: Sequence[int],
                  batch_data_samples: List) -> Tensor:
        """Return the labels (B, h, w) on a grid, -1 for ignored pixels.

        Args:
            size: h and w of the grid.
            batch_data_samples: Data samples with ground truth.
        """
        return resize_labels(
            stack_labels(batch_data_samples), size, self.ignore_index)
