"""From features to embeddings."""
from typing import Optional

from mmcv.cnn import build_norm_layer
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.precision import autocast_off
from mmpixsort.registry import MODELS


@MODELS.register_module()
class ProjectionHead(nn.Sequential):
    """Map a feature to unit embeddings: 1x1 conv, norm, ReLU, 1x1 conv.

    The layers are those of the released code of Wang et al.
    (https://arxiv.org/abs/2101.11939). Embeddings are normalised in float32.

    Args:
        in_channels: Number of channels of the feature that is projected.
        embed_dims: Number of embedding dimensions D.
        norm_cfg: Config of the norm layer after the first convolution; None
            uses no norm layer.
        linear: Whether to use a single 1x1 convolution in place of the four
            layers.
        upsample: Integer factor by which the embedding map is enlarged; 1 in
            SegSort, 2 in SPML.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If a number is below 1.

    Example:
        >>> head = ProjectionHead(in_channels=8, embed_dims=4, linear=True)
        >>> import torch
        >>> float(head(torch.ones(1, 8, 1, 1)).norm().round(decimals=3))
        1.0
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 embed_dims: int = 256,
                 norm_cfg: Optional[dict] = dict(type='SyncBN'),
                 linear: bool = False,
                 upsample: int = 1) -> None:
        check_count('in_channels', in_channels)
        check_count('embed_dims', embed_dims)
        check_count('upsample', upsample)
        layers = []
        if not linear:
            layers.append(
                nn.Conv2d(in_channels, in_channels, 1, bias=not norm_cfg))
            if norm_cfg:
                layers.append(build_norm_layer(norm_cfg, in_channels)[1])
            layers.append(nn.ReLU(inplace=True))
        layers.append(nn.Conv2d(in_channels, embed_dims, 1))
        super().__init__(*layers)
        self.in_channels = in_channels
        self.embed_dims = embed_dims
        self.upsample = upsample

    def forward(self, feature: Tensor) -> Tensor:
        """Return unit embeddings (B, D, h, w) of a feature (B, C, h', w').

        h and w are `upsample` times h' and w'.
        """
        embeddings = super().forward(feature)
        with autocast_off(feature.device):
            embeddings = normalize(embeddings.float(), dim=1)
            if self.upsample > 1:
                embeddings = normalize(
                    interpolate(
                        embeddings,
                        scale_factor=self.upsample,
                        mode='bilinear',
                        align_corners=False),
                    dim=1)
            return embeddings
