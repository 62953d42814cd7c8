"""Classify segments by a vote of their nearest annotated segments.

Shapes: S segments, D embedding dimensions, C classes, k neighbours.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_positive
from mmpixsort.functional.segments.nearest import vote_fractions

from .bank_file import PrototypeBank
from .index import build_index


class Votes(NamedTuple):
    """Votes of the nearest neighbours of segments.

    Attributes:
        fractions: Fractions (S, C) of the votes for each class; rows sum to
            1.
        neighbors: Indices (S, k) of the neighbours in the bank, the most
            similar first.
        similarities: Similarities (S, k) of the neighbours.
        neighbor_labels: Labels (S, k) of the neighbours.
    """

    fractions: Tensor
    neighbors: Tensor
    similarities: Tensor
    neighbor_labels: Tensor


class Retriever:
    """Classify segments by their k nearest segments in a bank.

    The method is described in section 3.3 of SegSort.

    Args:
        bank: Bank of annotated segments that :func:`check_bank` accepts.
        num_neighbors: Number of neighbours k; 15 or 21 in the authors'
            released scripts.
        concentration: Factor of the similarities, above 0, before a softmax
            makes them the weights of the votes. None weights all votes
            equally.
        ties: Rule for classes with equal votes. 'smallest' chooses the
            smallest class index, as in the authors' released code; 'nearest'
            chooses the class of the nearest neighbour among them.
        kind: Kind of search: 'exact', or 'ivf' or 'sq' of FAISS.
        device: Device of an exact search.

    Raises:
        ValueError: If the bank has fewer than k rows, or an option is out of
            range.
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
        """Return the votes for segments on the device of their prototypes.

        Args:
            prototypes: Prototypes (S, D) of the segments, unit rows.
        """
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
