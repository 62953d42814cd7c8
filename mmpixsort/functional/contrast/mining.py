"""Mining of pairs: choose the keys that each anchor is compared with.

Shapes: a anchors of a tile, K keys.

Wang et al., "Exploring Cross-Image Pixel Contrast for Semantic
Segmentation", ICCV 2021, https://arxiv.org/abs/2101.11939, section 3.3,
"hard example sampling". The authors' released code does not mine pairs.
"""
from typing import Optional

import torch
from torch import Tensor


def random_pairs(mask: Tensor,
                 num_pairs: int,
                 generator: Optional[torch.Generator] = None) -> Tensor:
    """Keep at most `num_pairs` pairs of each row, drawn uniformly.

    Args:
        mask: (a, K) bool mask of the pairs to choose from.
        num_pairs: Maximum number of pairs that are kept in a row.
        generator: Generator of the random draws, on the device of `mask`.

    Returns:
        (a, K) bool mask of the pairs that are kept.
    """
    score = torch.rand(mask.shape, generator=generator, device=mask.device)
    return hardest_pairs(score, mask, num_pairs)


def hardest_pairs(hardness: Tensor, mask: Tensor, num_pairs: int) -> Tensor:
    """Keep the `num_pairs` hardest pairs of each row.

    Args:
        hardness: (a, K) number that grows with the hardness of a pair.
        mask: (a, K) bool mask of the pairs to choose from.
        num_pairs: Maximum number of pairs that are kept in a row.

    Returns:
        (a, K) bool mask of the pairs that are kept.

    Example:
        >>> hardness = torch.tensor([[.1, .9, .5]])
        >>> hardest_pairs(hardness, torch.tensor([[True, True, True]]), 2)
        tensor([[False,  True,  True]])
    """
    score = hardness.masked_fill(~mask, float('-inf'))
    top = score.topk(min(num_pairs, mask.shape[1]), 1).indices
    return torch.zeros_like(mask).scatter_(1, top, True) & mask


def hard_pool(hardness: Tensor, mask: Tensor, fraction: float) -> Tensor:
    """Keep the hardest fraction of the pairs of each row, at least one pair.

    Args:
        hardness: (a, K) number that grows with the hardness of a pair.
        mask: (a, K) bool mask of the pairs to choose from.
        fraction: Fraction in (0, 1] of the pairs of a row that is kept.

    Returns:
        (a, K) bool mask of the pairs that are kept. Pairs that are exactly
        as hard as the last one are kept as well.
    """
    score = hardness.masked_fill(~mask, float('-inf'))
    largest = max(1, min(mask.shape[1], int(mask.shape[1] * fraction) + 1))
    ranked = score.topk(largest, 1).values
    size = (mask.sum(1, keepdim=True) * fraction).ceil().long()
    last = size.clamp_(1, largest) - 1
    return (score >= ranked.gather(1, last)) & mask
