"""Classes of segments by the vote of their nearest annotated segments.

Shapes: S segments, D embedding dims, C classes, k neighbours.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_positive
from mmpixsort.functional.segments.nearest import vote_fractions

from .bank_file import PrototypeBank
from .index import build_index


class Votes(NamedTuple):
    """What the neighbours of segments say.

    Attributes:
        fractions: (S, C), rows sum to 1.
        neighbors: (S, k) rows of the bank, most similar first.
        similarities: (S, k).
        neighbor_labels: (S, k).
    """

    fractions: Tensor
    neighbors: Tensor
    similarities: Tensor
    neighbor_labels: Tensor


class Retriever:
    """Vote by the k nearest segments of a bank (SegSort, section 3.3).

    Args:
        bank: Checked bank.
        num_neighbors: k; 15 or 21 in the released scripts.
        concentration: Weighs votes by softmax(concentration * similarity);
            None counts them.
        ties: 'smallest': the smallest class wins, as in the released code;
            'nearest': the class of the nearest neighbour among them.
        kind: Kind of search: 'exact', or 'flat', 'ivf' or 'sq' of FAISS.
        device: Device of an exact search.

    Raises:
        ValueError: When the bank has fewer rows than neighbours are asked
            for, or on options out of range.
    """

    def __init__(self,
                 bank: PrototypeBank,
                 *,
                 num_neighbors: int = 15,
                 concentration: Optional[float] = None,
                 ties: str = 'smallest',
                 kind: str = 'exact',
                 device: Optional[torch.device] = None) -> None:
        check_count('num_neighbors', num_neighbors)
        if concentration is not None:
            check_positive('concentration', concentration)
        if num_neighbors > len(bank.features):
            raise ValueError(
                f'`num_neighbors` must be at most {len(bank.features)}, the '
                f'rows of the bank, got {num_neighbors}')
        self.num_classes = len(bank.meta['classes'])
        self.num_neighbors = num_neighbors
        self.concentration = concentration
        self.ties = ties
        features = bank.features if device is None or kind != 'exact' else (
            bank.features.to(device))
        self.index = build_index(features, kind=kind)
        self.labels = bank.labels

    def __call__(self, prototypes: Tensor) -> Votes:
        """Return the votes for prototypes (S, D), on their device."""
        similarities, neighbors = self.index.search(prototypes,
                                                    self.num_neighbors)
        labels = self.labels.to(neighbors.device)[neighbors]
        fractions = vote_fractions(
            labels,
            similarities,
            num_classes=self.num_classes,
            concentration=self.concentration,
            ties=self.ties)
        return Votes(*(part.to(prototypes.device) for part in (
            fractions, neighbors, similarities, labels)))
