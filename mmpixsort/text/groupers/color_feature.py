"""Features for a grouper that are the colours of the image."""
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from mmpixsort.functional.checks import check_count, check_non_negative
from mmpixsort.registry import MODELS


@MODELS.register_module()
class ColorFeature(nn.Module):
    """Average the channels of an image over blocks of pixels.

    Use it to group pixels if no self-supervised network is available. It has
    no weights. A grouper compares the directions of features, and the
    direction of a colour does not depend on its brightness. An additional
    constant channel changes this: then directions differ about as much as
    colours.

    Args:
        stride: Number of pixels along each side of a block.
        constant: Value of the constant channel, in units of the normalised
            image, whose standard deviation is 1; 0 adds no channel.

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
        """Return colours (B, 3, h, w), or (B, 4, h, w) with `constant`.

        h and w are the sides of the image divided by `stride`, rounded up.
        """
        colors = avg_pool2d(
            images, self.stride, ceil_mode=True, count_include_pad=False)
        if not self.constant:
            return colors
        constant = torch.full_like(colors[:, :1], self.constant)
        return torch.cat([colors, constant], 1)
