"""The colours of an image as a feature map, without any weights."""
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from mmpixsort.functional.checks import check_count, check_non_negative
from mmpixsort.registry import MODELS


@MODELS.register_module()
class ColorFeature(nn.Module):
    """Average the channels of the image over blocks of pixels.

    For grouping where there is no self-supervised network. Groups compare
    directions, of which brightness is none: with a constant channel beside
    the colours it becomes one, and directions differ about as colours do.

    Args:
        stride: Pixels along a side of a block.
        constant: The constant channel, in units of the image as the model
            sees it, where a standard deviation is 1; 0: colours alone.

    Example:
        >>> import torch
        >>> ColorFeature(stride=2)(torch.rand(1, 3, 6, 9)).shape
        torch.Size([1, 4, 3, 5])
    """

    def __init__(self, *, stride: int = 2, constant: float = 1.) -> None:
        super().__init__()
        check_count('stride', stride)
        check_non_negative('constant', constant)
        self.stride = stride
        self.constant = constant

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, h, w), one more channel with `constant`.

        h and w are the sides divided by `stride`, rounded up.
        """
        colors = avg_pool2d(
            images, self.stride, ceil_mode=True, count_include_pad=False)
        if not self.constant:
            return colors
        constant = torch.full_like(colors[:, :1], self.constant)
        return torch.cat([colors, constant], 1)
