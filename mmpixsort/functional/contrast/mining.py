"""Choose, for every anchor, which of its pairs enter the loss.

Shapes: a anchors of a tile, K keys. Wang et al. (2101.11939), section 3.3,
"hard example sampling"; the released code has none of it.
"""
from typing import Optional

import torch
from torch import Tensor


def random_pairs(mask: Tensor,
                 num_pairs: int,
                 generator: Optional[torch.Generator] = None) -> Tensor:
    """Keep up to `num_pairs` of each row's pairs, uniformly.

    Args:
        mask: (a, K) bool, the pairs to choose from.
        num_pairs: Most pairs of a row.
        generator: Source of randomness, on the device of `mask`.

    Returns:
        (a, K) bool.
    """
    score = torch.rand(mask.shape, generator=generator, device=mask.device)
    return hardest_pairs(score, mask, num_pairs)


def hardest_pairs(hardness: Tensor, mask: Tensor, num_pairs: int) -> Tensor:
    """Keep the `num_pairs` hardest of each row's pairs.

    Args:
        hardness: (a, K).
        mask: (a, K) bool, the pairs to choose from.
        num_pairs: Most pairs of a row.

    Returns:
        (a, K) bool.
    """
    score = hardness.masked_fill(~mask, float('-inf'))
    top = score.topk(min(num_pairs, mask.shape[1]), 1).indices
    return torch.zeros_like(mask).scatter_(1, top, True) & mask


def hard_pool(hardness: Tensor, mask: Tensor, fraction: float) -> Tensor:
    """Keep the hardest `fraction` of each row's pairs, at least one.

    Args:
        hardness: (a, K).
        mask: (a, K) bool, the pairs to choose from.
        fraction: In (0, 1], of the pairs of that row.

    Returns:
        (a, K) bool; ties with the last pair stay in.
    """
    score = hardness.masked_fill(~mask, float('-inf'))
    largest = max(1, min(mask.shape[1], int(mask.shape[1] * fraction) + 1))
    ranked = score.topk(largest, 1).values
    size = (mask.sum(1, keepdim=True) * fraction).ceil().long()
    last = size.clamp_(1, largest) - 1
    return (score >= ranked.gather(1, last)) & mask
