"""Small tuples that cross the rooms of the package.

Shapes: N rows, K keys, C classes, M slots of a queue, D embedding dims.
"""
from typing import NamedTuple

from torch import Tensor


class LabeledEmbeddings(NamedTuple):
    """Embeddings with the class of each row.

    Attributes:
        embeddings: (N, D).
        labels: (N,) int64; a negative label marks a row that takes no part.
    """

    embeddings: Tensor
    labels: Tensor


class KeyBlock(NamedTuple):
    """Keys as they lie in memory, flat or one queue per class.

    Attributes:
        keys: (K, D) flat, or (C, M, D) where queue c holds class c.
        labels: (K,) or (C, M) integer, the shape of `keys` without D; a
            negative label marks a key that takes no part, such as a slot
            not filled yet. In (C, M, D) such a key must be finite, as the
            zeros of an empty slot are.
    """

    keys: Tensor
    labels: Tensor
