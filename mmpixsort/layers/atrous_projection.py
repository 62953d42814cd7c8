"""From a feature to embeddings by parallel dilated convolutions."""
from typing import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.precision import autocast_off
from mmpixsort.registry import MODELS


@MODELS.register_module()
class AtrousProjection(nn.Module):
    """Map a feature to unit embeddings by a sum of dilated 3x3 convolutions.

    This is the embedding layer of SPML with DeepLab
    (https://arxiv.org/abs/2105.00957), in which the convolutions of DeepLab
    v2 give embeddings in place of class scores. Use it as `projection` of a
    metric head on the last level of a backbone, for weights that were
    converted from that code. Otherwise :class:`ProjectionHead` is smaller.

    Args:
        in_channels: Number of channels C of the feature.
        embed_dims: Number of embedding dimensions D.
        dilations: Dilation of each convolution.
        upsample: Factor by which the embedding is enlarged before it is
            normalised; 2 in SPML.

    Raises:
        ValueError: If a size is below 1, or there is no dilation.

    Example:
        >>> import torch
        >>> layer = AtrousProjection(in_channels=8, embed_dims=4, upsample=2)
        >>> layer(torch.rand(1, 8, 3, 5)).shape
        torch.Size([1, 4, 6, 10])
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 embed_dims: int = 64,
                 dilations: Sequence[int] = (6, 12, 18, 24),
                 upsample: int = 1) -> None:
        super().__init__()
        check_count('in_channels', in_channels)
        check_count('embed_dims', embed_dims)
        check_count('upsample', upsample)
        if not dilations:
            raise ValueError('`dilations` must hold at least one number, got '
                             f'{dilations!r}')
        for dilation in dilations:
            check_count('dilations', dilation)
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels, embed_dims, 3, padding=dilation,
                      dilation=dilation) for dilation in dilations)
        self.in_channels = in_channels
        self.embed_dims = embed_dims
        self.upsample = upsample

    def forward(self, feature: Tensor) -> Tensor:
        """Return unit embeddings (B, D, h, w) of a feature (B, C, h', w').

        h and w are `upsample` times h' and w'.
        """
        embeddings = sum(conv(feature) for conv in self.convs)
        with autocast_off(feature.device):
            embeddings = embeddings.float()
            if self.upsample > 1:
                embeddings = interpolate(
                    embeddings, scale_factor=self.upsample, mode='bilinear',
                    align_corners=False)
            return normalize(embeddings, dim=1)
