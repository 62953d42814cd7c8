"""A small ViT with the parts of CLIP's, and a dual encoder that has one.

Shapes: B images, N tokens, W width, E dims of the joint space.
"""
import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count
from mmpixsort.registry import MODELS
from mmpixsort.text import TinyDual
from mmpixsort.text.encoders.masked_region_encoder import build_regions
from mmpixsort.text.encoders.tower import run_tower


class ViTBlock(nn.Module):
    """A layer of a ViT with the names of open_clip's.

    Args:
        width: W.
        num_heads: A divisor of W.
        mlp_ratio: Hidden width of the MLP over W.
    """

    def __init__(self, width: int, num_heads: int,
                 mlp_ratio: int = 4) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(),
            nn.Linear(mlp_ratio * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, N, W) after the layer."""
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(
            normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp(self.ln_2(tokens))


class TinyViT(nn.Module):
    """A tower with the attributes of CLIP's that `run_tower` reads.

    Args:
        image_size: Side of the images that the positions are made for.
        patch_size: A divisor of it.
        width: W.
        num_layers: Layers.
        num_heads: A divisor of W.
        embed_dims: E.
    """

    def __init__(self,
                 *,
                 image_size: int,
                 patch_size: int,
                 width: int,
                 num_layers: int,
                 num_heads: int,
                 embed_dims: int) -> None:
        super().__init__()
        for name, count in (('width', width), ('num_layers', num_layers),
                            ('num_heads', num_heads),
                            ('patch_size', patch_size)):
            check_count(name, count)
        if width % num_heads or image_size % patch_size:
            raise ValueError(
                '`num_heads` must divide `width`, and `patch_size` '
                f'`image_size`, got {num_heads} and {width}, {patch_size} '
                f'and {image_size}')
        side = image_size // patch_size
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (side, side)
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(.02 * torch.randn(width))
        self.positional_embedding = nn.Parameter(
            .02 * torch.randn(side * side + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            ViTBlock(width, num_heads) for _ in range(num_layers))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(width**-.5 * torch.randn(width, embed_dims))


@MODELS.register_module()
class TinyViTDual(TinyDual):
    """`TinyDual` with a :class:`TinyViT` for its images."""

    def __init__(self, *, vocabulary, embed_dims=64, width=24, regions=None,
                 image_size=64, patch_size=4, num_layers=4, num_heads=4):
        super().__init__(vocabulary=vocabulary, embed_dims=embed_dims)
        self.image = TinyViT(
            image_size=image_size, patch_size=patch_size,
            width=3 * width - 3 * width % num_heads, num_layers=num_layers,
            num_heads=num_heads, embed_dims=embed_dims)
        self.encoder = build_regions(regions)

    def encode_image(self, images, ids=None, num_regions=0):
        """Return unit embeddings of images and regions."""
        return run_tower(self.image, self.image.blocks, images, ids,
                         num_regions, self.encoder)
