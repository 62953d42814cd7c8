"""Make random inputs that resemble those of a training."""
import math
from typing import Sequence, Tuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize


def unit_maps(batch: int, dims: int, size: Sequence[int],
              seed: int = 0) -> Tensor:
    """Return unit embeddings (B, D, H, W) without any structure."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(batch, dims, *size, generator=generator)
    return normalize(maps, dim=1)


def smooth_maps(batch: int, dims: int, size: Sequence[int],
                seed: int = 0) -> Tensor:
    """Return maps (B, D, H, W) in which neighbouring pixels are similar."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(
        batch, dims, *[side // 8 + 1 for side in size], generator=generator)
    return interpolate(coarse, list(size), mode='bilinear')


def unit_rows(count: int, dims: int, seed: int = 0) -> Tensor:
    """Return unit rows (N, D)."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, dims, generator=generator), dim=1)


def label_maps(batch: int, num_classes: int, size: Sequence[int],
               seed: int = 0) -> Tensor:
    """Return labels (B, H, W), int64: blocks, every class in every image."""
    generator = torch.Generator().manual_seed(seed)
    columns = math.ceil(math.sqrt(2 * num_classes))
    rows = math.ceil(2 * num_classes / columns)
    maps = []
    for _ in range(batch):
        cells = torch.arange(rows * columns) % num_classes
        cells = cells[torch.randperm(len(cells), generator=generator)]
        maps.append(cells.view(1, 1, rows, columns).double())
    return interpolate(torch.cat(maps), list(size))[:, 0].long()


def logit_maps(labels: Tensor, num_classes: int, seed: int = 0) -> Tensor:
    """Return logits (B, C, H, W) whose argmax is correct for two thirds."""
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(labels.shape, generator=generator) < 2 / 3
    other = torch.randint(num_classes, labels.shape, generator=generator)
    guess = torch.where(right, labels.clamp(min=0), other)
    logits = torch.nn.functional.one_hot(guess, num_classes).float()
    return logits.permute(0, 3, 1, 2).contiguous()


def instance_maps(batch: int, size: Sequence[int], count: int) -> Tensor:
    """Return instance ids (B, H, W) in [0, count), as blocks of pixels."""
    height, width = size
    side = 2**max(0, int(math.log2(math.sqrt(height * width / count)) - 1))
    cells = math.ceil(height / side), math.ceil(width / side)
    ids = torch.arange(math.prod(cells)).view(cells) % count
    ids = ids.repeat_interleave(side, 0).repeat_interleave(side, 1)
    return ids[:height, :width].repeat(batch, 1, 1)


def balls(num_points: int, dims: int, num_clusters: int,
          seed: int = 0) -> Tuple[Tensor, Tensor]:
    """Return embeddings (N, D) for which the discriminative loss is zero.

    They form balls of radius 0.5 with centres more than 3 apart. Also return
    the index (N,) of the ball of each row.
    """
    generator = torch.Generator().manual_seed(seed)
    centers = torch.empty(0, dims)
    while len(centers) < num_clusters:
        new = torch.rand(1, dims, generator=generator)
        new = new * 6 * num_clusters**(1 / dims)
        if not (torch.cdist(new, centers) <= 3).any():
            centers = torch.cat([centers, new])
    labels = torch.randint(num_clusters, (num_points, ), generator=generator)
    radii = .499 * torch.rand(num_points, 1, generator=generator)**(1 / dims)
    offsets = torch.randn(num_points, dims, generator=generator)
    return centers[labels] + normalize(offsets, dim=1) * radii, labels
