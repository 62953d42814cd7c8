"""Run the image tower of a ViT, with additional tokens for regions.

Shapes: B images, K regions of an image, P = gh * gw patches, W width, E
dimensions of the joint space.
"""
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmpixsort.functional.words.regions import pool_regions, resize_ids
from mmpixsort.structures import ImageEmbeddings

from .dual_parts import unit_rows
from .masked_region_encoder import MaskedRegionEncoder


def run_tower(tower: nn.Module,
              blocks: Sequence[nn.Module],
              images: Tensor,
              ids: Optional[Tensor] = None,
              num_regions: int = 0,
              encoder: Optional[MaskedRegionEncoder] = None
              ) -> ImageEmbeddings:
    """Return the embeddings of images and of their regions.

    Args:
        tower: Module with `conv1`, `class_embedding`,
            `positional_embedding`, `grid_size`, `patch_size`, `ln_pre`,
            `ln_post` and `proj`, such as open_clip's `VisionTransformer`.
        blocks: Layers of the tower.
        images: Images (B, 3, H, W), normalised as the tower expects it.
        ids: Region (B, h, w) of each pixel, an integer in [0, K), or -1 for
            a pixel in no region. None embeds no regions.
        num_regions: Number of regions K.
        encoder: Encoder of the regions. None embeds a region by the mean of
            its projected patches.
    """
    tokens, grid = embed_patches(tower, images)
    if ids is not None:
        ids = resize_ids(ids, grid, num_regions)
    if ids is None or encoder is None:
        for block in blocks:
            tokens = block(tokens)
        tokens = tower.ln_post(tokens) @ tower.proj
        image = unit_rows(tokens[:, 0])
        if ids is None:
            return ImageEmbeddings(image)
        patches = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
        means, valid = pool_regions(patches, ids, num_regions)
        return ImageEmbeddings(image, unit_rows(means, valid), valid)
    rows = ids.flatten(1)
    tokens, regions = encoder(blocks, tokens, rows, num_regions)
    tokens = torch.cat([tokens[:, :1], regions], dim=1)
    tokens = tower.ln_post(tokens) @ tower.proj
    numbers = torch.arange(num_regions, device=rows.device)
    valid = (rows[:, None] == numbers[:, None]).any(2)
    return ImageEmbeddings(
        unit_rows(tokens[:, 0]), unit_rows(tokens[:, 1:], valid), valid)


def embed_patches(tower: nn.Module,
                  images: Tensor) -> Tuple[Tensor, Tuple[int, int]]:
    """Return the input (B, 1 + P, W) of the first layer, and (gh, gw).

    If a side of the images is not a multiple of the patch size, they are
    resized to the nearest multiples, so that every pixel lies in a patch. The
    positional embedding is resized to the grid. No patch is dropped, even if
    the tower drops some in training, because regions need all patches.
    """
    grid = tuple(
        max(1, round(side / patch))
        for side, patch in zip(images.shape[2:], tower.patch_size))
    size = tuple(
        count * patch for count, patch in zip(grid, tower.patch_size))
    if size != tuple(images.shape[2:]):
        images = interpolate(
            images, size, mode='bilinear', antialias=True)
    patches = tower.conv1(images).flatten(2).transpose(1, 2)
    first = tower.class_embedding.to(patches.dtype)
    tokens = torch.cat(
        [first.expand(len(patches), 1, -1), patches], dim=1)
    positions = resize_positions(
        tower.positional_embedding, tower.grid_size, grid)
    return tower.ln_pre(tokens + positions.to(tokens.dtype)), grid


def resize_positions(positions: Tensor, grid: Sequence[int],
                     size: Sequence[int]) -> Tensor:
    """Resize the positional embeddings of patches to another grid.

    The interpolation is bicubic with antialiasing, as in open_clip when it
    loads weights of another image size. The embedding of CLS is kept.

    Args:
        positions: Positional embeddings (1 + gh * gw, W), CLS first.
        grid: Numbers of rows gh and columns gw of their grid.
        size: Numbers of rows and columns of the new grid.

    Returns:
        Positional embeddings (1 + rows * columns, W); `positions` itself if
        the grids are equal.

    Raises:
        ValueError: If `positions` does not fit `grid`.

    Example:
        >>> resize_positions(torch.zeros(5, 8), (2, 2), (3, 4)).shape
        torch.Size([13, 8])
    """
    if len(positions) != 1 + grid[0] * grid[1]:
        raise ValueError(
            f'`positions` must have 1 + {grid[0]} * {grid[1]} rows for the '
            f'grid {tuple(grid)}, got {len(positions)}')
    if tuple(grid) == tuple(size):
        return positions
    patches = positions[1:].T.reshape(1, -1, *grid)
    # not every device has bicubic interpolation in half precision
    patches = interpolate(
        patches.float() if patches.element_size() < 4 else patches,
        tuple(size), mode='bicubic', antialias=True)
    patches = patches[0].flatten(1).T.to(positions.dtype)
    return torch.cat([positions[:1], patches])
