"""Small tuples that cross the rooms of the package.

Shapes: A anchors, K keys, C classes (queues), M capacity, D embedding dims.
"""
from typing import NamedTuple, Optional

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
    """Keys as they lie in memory, flat or one queue per row.

    Attributes:
        keys: (K, D) flat, or (C, M, D) with C queues of M slots.
        labels: (K,) or (C,) int64, the class of each key or queue; a
            negative label marks a key or queue that takes no part.
        counts: (C,) int64, how many leading slots of each queue are filled;
            None for flat keys.
    """

    keys: Tensor
    labels: Tensor
    counts: Optional[Tensor] = None
