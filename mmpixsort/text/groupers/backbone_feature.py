"""A level of a frozen backbone of the host, to group by."""
import logging
from typing import Sequence, Union

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count
from mmpixsort.layers.features import select_feature
from mmpixsort.registry import MODELS


@MODELS.register_module()
class BackboneFeature(nn.Module):
    """Features of a backbone with the weights of its `init_cfg`, frozen.

    For `RegionGrouper`, where there is no self-supervised network at hand.
    What is grouped then depends on what the backbone was trained for: with
    weights of ImageNet classes these are annotations of images, and the
    grouping is not free of supervision.

    The weights are loaded at once, as the grouper has no other time for it.

    Args:
        backbone: Config of a backbone of the host, with `init_cfg`.
        in_channels: C of the feature.
        in_index: Level of the backbone, or levels, which are resized to the
            first of them.

    Raises:
        FileNotFoundError: When the weights are not there.
        ValueError: Without `init_cfg`: random weights group nothing.
    """

    def __init__(self,
                 *,
                 backbone: dict,
                 in_channels: int,
                 in_index: Union[int, Sequence[int]] = -1) -> None:
        super().__init__()
        check_count('in_channels', in_channels)
        if not backbone.get('init_cfg'):
            raise ValueError(
                '`backbone` must name its weights by `init_cfg`, got '
                f'{backbone.get("init_cfg")!r}; set init_cfg=dict('
                "type='Pretrained', checkpoint=...)")
        self.in_index = in_index
        self.in_channels = in_channels
        self.backbone = MODELS.build(backbone).requires_grad_(False)
        _load(self.backbone)
        self.eval()

    def train(self, mode: bool = True) -> 'BackboneFeature':
        """Stay in evaluation mode: nothing here is trained."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, C, h, w) of normalised images (B, 3, H, W)."""
        return select_feature(
            self.backbone(images), self.in_index, self.in_channels)


def _load(backbone: nn.Module) -> None:
    """Load the weights, without the host's lines about each of them."""
    logger = MMLogger.get_current_instance()

    def matters(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    logger.addFilter(matters)
    try:
        backbone.init_weights()
    finally:
        logger.removeFilter(matters)
