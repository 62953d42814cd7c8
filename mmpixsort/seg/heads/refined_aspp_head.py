"""The head of DeepLabV3 as in the released code of pixel contrast."""
from typing import Any, List

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import ASPPHead
from torch import Tensor

from mmpixsort.registry import MODELS


@MODELS.register_module()
class RefinedASPPHead(ASPPHead):
    """Add a 3x3 convolution before the classifier of the host's ASPPHead.

    The released code of Wang et al. (https://arxiv.org/abs/2101.11939) has
    this convolution, with a batch norm and without an activation. Use it for
    weights that were converted from that code. To train a model from the
    start, use the ASPPHead of the host.

    Args:
        args: Arguments of the ASPPHead of the host.
        kwargs: Further arguments of it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refine = ConvModule(
            self.channels,
            self.channels,
            3,
            padding=1,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=None)

    def forward(self, inputs: List[Tensor]) -> Tensor:
        """Return logits (B, C, h, w) of the levels of the backbone."""
        return self.cls_seg(self.refine(self._forward_feature(inputs)))
