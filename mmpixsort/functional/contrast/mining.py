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


def random_hard_pairs(hardness: Tensor,
                      mask: Tensor,
                      num_pairs: int,
                      fraction: float,
                      generator: Optional[torch.Generator] = None) -> Tensor:
    """Draw pairs uniformly among the hardest fraction of those of each row.

    Args:
        hardness: (a, K) number that grows with the hardness of a pair.
        mask: (a, K) bool mask of the pairs to choose from.
        num_pairs: Maximum number of pairs that are kept in a row.
        fraction: Fraction in (0, 1] of the pairs of a row that is drawn
            from, at least one pair. Which of several pairs that are exactly
            as hard as the last one belong to it is left open.
        generator: Generator of the random draws, on the device of `mask`.

    Returns:
        (a, K) bool mask of the pairs that are kept.

    Example:
        >>> hardness = torch.tensor([[.1, .9, .5, .7]])
        >>> random_hard_pairs(hardness, hardness > 0, 5, .5)
        tensor([[False,  True, False,  True]])
    """
    largest = max(1, min(mask.shape[1], int(mask.shape[1] * fraction) + 1))
    hardest = hardness.masked_fill(~mask, float('-inf')).topk(largest, 1)
    rank = torch.arange(largest, device=mask.device)
    outside = rank >= (mask.sum(1, keepdim=True) * fraction).ceil_()
    draw = torch.rand(
        outside.shape, generator=generator, device=mask.device)
    picks = draw.add_(outside, alpha=-2).topk(min(num_pairs, largest), 1)
    return torch.zeros_like(mask).scatter_(
        1, hardest.indices.gather(1, picks.indices), picks.values >= 0)
