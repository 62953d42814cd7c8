"""Segment sorting as its users run it, rewritten from its description.

The methods are those of Hwang et al., "SegSort", ICCV 2019,
https://arxiv.org/abs/1910.06962, and of Ke et al., "Universal Weakly
Supervised Segmentation by Pixel-to-Segment Contrastive Learning" (SPML), ICLR
2021, https://arxiv.org/abs/2105.00957. The code has a loop over images, a
matrix of all pairs of pixels and segments, and a full sort to find the nearest
few.

Shapes: B images, D embedding dims, H W size, N pixels, P prototypes, Q
queries, M keys, k neighbours.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from mmpixsort.functional.segments.clustering import (grid_labels,
                                                      pixel_locations)


def kmeans_by_image(maps: Tensor, valid: Optional[Tensor], grid: int,
                    num_iters: int) -> Tensor:
    """Return the clusters (B, H, W), -1 where a pixel is not valid.

    Args:
        maps: Maps (B, D, H, W).
        valid: Mask (B, H, W) of type bool; None means that all are valid.
        grid: Number of cells along y and x to start from.
        num_iters: Number of iterations.
    """
    size, device = maps.shape[2:], maps.device
    start = grid_labels(size, (grid, grid), device).flatten()
    places = pixel_locations(size, device=device).flatten(1).T
    result = torch.full((len(maps), *size), -1, device=device)
    rows = normalize(maps.permute(0, 2, 3, 1), dim=3)
    for b, image in enumerate(rows):
        points = normalize(torch.cat([image.flatten(0, 1), places], 1), dim=1)
        labels, kept = start, None
        if valid is not None:
            kept = valid[b].flatten().nonzero().flatten()
            points, labels = points[kept], start[kept]
        for _ in range(num_iters):
            index = labels[:, None].expand_as(points)
            sums = points.new_zeros(grid * grid, points.shape[1])
            means = normalize(sums.scatter_add_(0, index, points), dim=1)
            labels = torch.mm(points, means.T).argmax(1)
        if kept is None:
            result[b] = labels.view(size)
        else:
            result[b].view(-1)[kept] = labels
    return result


def sorting_loss(rows: Tensor, labels: Tensor, own: Tensor, means: Tensor,
                 mean_labels: Tensor, concentration: float) -> Tensor:
    """Compare pixels with prototypes, as in segment sorting.

    The positives of a pixel are the other segments of its label.

    Args:
        rows: Pixel embeddings (N, D).
        labels: Labels (N,) of the pixels.
        own: Segment (N,) of each pixel.
        means: Prototypes (P, D).
        mean_labels: Labels (P,) of the prototypes.
        concentration: Factor of the similarities.
    """
    similarity = torch.exp(concentration * torch.mm(rows, means.T))
    same = (labels[:, None] == mean_labels[None]).float()
    mine = torch.zeros_like(similarity).scatter_(1, own[:, None], 1.)
    of_own = (similarity * mine).sum(1)
    pull = (similarity * same).sum(1) - of_own
    pull = torch.where(pull > 0, pull, of_own)
    push = (similarity * (1 - same)).sum(1)
    return -torch.log(pull / (pull + push)).mean()


def ranked(queries: Tensor, keys: Tensor, count: int) -> Tensor:
    """Return the nearest keys (Q, k), by a sort of all similarities."""
    return torch.mm(queries, keys.T).argsort(1, descending=True)[:, :count]


def top_accuracy(means: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the share of the right label among the nearest prototypes.

    A prototype itself is not among its nearest.
    """
    nearest = ranked(means, means, count + 1)[:, 1:]
    return (labels[nearest] == labels[:, None]).float().mean()


def voted(queries: Tensor, keys: Tensor, labels: Tensor, count: int,
          num_classes: int) -> Tuple[Tensor, Tensor]:
    """Return the nearest keys (Q, k) and the majority of their labels (Q,).
    """
    nearest = ranked(queries, keys, count)
    votes = one_hot(labels[nearest], num_classes).sum(1)
    return nearest, votes.argmax(1)
