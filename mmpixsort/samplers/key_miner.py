"""Choice of the keys with which an anchor is compared."""
from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_fraction)
from mmpixsort.functional.contrast.mining import (hardest_pairs,
                                                  random_hard_pairs,
                                                  random_pairs)
from mmpixsort.registry import MODELS

STRATEGIES = ('random', 'semi_hard', 'hardest')


@MODELS.register_module()
class KeyMiner(nn.Module):
    """Keep some positives and some negatives of every anchor.

    This is the hard example sampling of Wang et al.
    (https://arxiv.org/abs/2101.11939), section 3.3. A positive is hard if it
    is dissimilar to the anchor, a negative if it is similar. The authors'
    released code has no mining; without a miner all keys are used as well.
    The defaults 1024 and 2048 have not been checked against the paper; the
    10 % are confirmed in issue 17 of the released code.

    Args:
        strategy: Which pairs are kept. 'random': random pairs; 'hardest':
            the hardest pairs; 'semi_hard': random pairs among the hardest
            `hard_fraction`.
        num_positives: Maximum number of positives of an anchor.
        num_negatives: Maximum number of negatives of an anchor.
        hard_fraction: Fraction in (0, 1] of the positives and of the
            negatives of an anchor from which 'semi_hard' draws.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If the strategy is unknown or a number is out of range.
    """

    def __init__(self,
                 *,
                 strategy: str = 'semi_hard',
                 num_positives: int = 1024,
                 num_negatives: int = 2048,
                 hard_fraction: float = 0.1) -> None:
        super().__init__()
        check_choice('strategy', strategy, STRATEGIES)
        check_count('num_positives', num_positives)
        check_count('num_negatives', num_negatives)
        check_fraction('hard_fraction', hard_fraction)
        self.strategy = strategy
        self.num_positives = num_positives
        self.num_negatives = num_negatives
        self.hard_fraction = hard_fraction

    def forward(
        self,
        similarity: Tensor,
        positive: Tensor,
        negative: Tensor,
        generator: Optional[torch.Generator] = None
    ) -> Tuple[Tensor, Tensor]:
        """Return the masks of the pairs that are kept for some anchors.

        Args:
            similarity: (a, K) similarities of anchors and keys.
            positive: (a, K) bool mask of the positives.
            negative: (a, K) bool mask of the negatives.
            generator: Generator of the random draws, on the same device.

        Returns:
            The masks (a, K) of the positives and negatives that are kept.
        """
        return (self._mine(-similarity, positive, self.num_positives,
                           generator),
                self._mine(similarity, negative, self.num_negatives,
                           generator))

    def _mine(self, hardness: Tensor, mask: Tensor, num_pairs: int,
              generator: Optional[torch.Generator]) -> Tensor:
        if self.strategy == 'hardest':
            return hardest_pairs(hardness, mask, num_pairs)
        if self.strategy == 'semi_hard':
            return random_hard_pairs(
                hardness, mask, num_pairs, self.hard_fraction, generator)
        return random_pairs(mask, num_pairs, generator)
