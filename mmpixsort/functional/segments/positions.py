"""Positional embeddings of a ViT at another grid."""
from typing import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def resize_positions(positions: Tensor, grid: Sequence[int],
                     size: Sequence[int]) -> Tensor:
    """Resize the positional embeddings of the patches, bicubic.

    With antialiasing, as open_clip does when it loads weights of another
    image size. CLS keeps its own.

    Args:
        positions: (1 + gh * gw, D), CLS first.
        grid: gh and gw.
        size: Rows and columns of the result.

    Returns:
        (1 + rows * columns, D); `positions` itself where nothing changes.

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
    # bicubic is not there in half precision on every device
    patches = interpolate(
        patches.float() if patches.element_size() < 4 else patches,
        tuple(size), mode='bicubic', antialias=True)
    patches = patches[0].flatten(1).T.to(positions.dtype)
    return torch.cat([positions[:1], patches])
