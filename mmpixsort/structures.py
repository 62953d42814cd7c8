"""Named tuples that several parts of the package exchange.

Shapes: N rows, K keys, C classes, M slots of a queue, D embedding dims.
"""
from typing import NamedTuple, Optional

from torch import Tensor


class LabeledEmbeddings(NamedTuple):
    """Embeddings with the class of each row.

    Attributes:
        embeddings: (N, D) embeddings.
        labels: (N,) int64 classes; rows with a negative label are ignored.
    """

    embeddings: Tensor
    labels: Tensor


class KeyBlock(NamedTuple):
    """Keys with their labels, as one list or as one queue per class.

    Attributes:
        keys: (K, D) list of keys, or (C, M, D) queues, where queue c holds
            keys of class c.
        labels: (K,) or (C, M) integer labels. Keys with a negative label,
            such as those of empty slots, are ignored; in queues they must
            still be finite.
    """

    keys: Tensor
    labels: Tensor


class ImageEmbeddings(NamedTuple):
    """Embeddings of images and regions in the joint space with texts.

    Shapes: B images, K regions of an image, E dims of the joint space.

    Attributes:
        image: (B, E) unit rows.
        regions: (B, K, E) unit rows, or 0 for regions that are not valid;
            None if there are no regions.
        valid: (B, K) bool, True for a region with at least one pixel; None
            if there are no regions.
    """

    image: Tensor
    regions: Optional[Tensor] = None
    valid: Optional[Tensor] = None
