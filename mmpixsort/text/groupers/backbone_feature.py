"""Features for a grouper from a frozen backbone of the host."""
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
    """Compute the features of a grouper with a frozen backbone of the host.

    Use it in `RegionGrouper` if no self-supervised network is available. The
    groups then depend on the task that the backbone was trained for. With
    weights that were trained on the labels of ImageNet, the grouping is not
    unsupervised.

    The weights that `init_cfg` names are loaded in the constructor.

    Args:
        backbone: Config of a backbone of the host, with `init_cfg`.
        in_channels: Number of channels C of the feature map.
        in_index: Index of a level of the backbone, or several indices. Several
            levels are resized to the size of the first and concatenated.

    Raises:
        FileNotFoundError: If the file of weights does not exist.
        ValueError: If `init_cfg` is missing; random weights are useless.
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
        """Stay in evaluation mode, because nothing here is trained."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, C, h, w) of normalised images (B, 3, H, W)."""
        return select_feature(
            self.backbone(images), self.in_index, self.in_channels)


def _load(backbone: nn.Module) -> None:
    """Load the weights without a line in the log for each of them."""
    logger = MMLogger.get_current_instance()

    def matters(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    logger.addFilter(matters)
    try:
        backbone.init_weights()
    finally:
        logger.removeFilter(matters)
