"""Small tuples that cross the rooms of the package.

Shapes: N rows, K keys, C classes, M slots of a queue, D embedding dims.
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


class ImageEmbeddings(NamedTuple):
    """Embeddings of images and of their regions in the space of the words.

    With B images, K regions of an image and E dims of the joint space.

    Attributes:
        image: (B, E), unit rows.
        regions: (B, K, E), unit rows, 0 where not valid; None without
            regions.
        valid: (B, K) bool, whether a region has a pixel; None without
            regions.
    """

    image: Tensor
    regions: Optional[Tensor] = None
    valid: Optional[Tensor] = None
