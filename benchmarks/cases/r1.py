"""Exact retrieval and the vote, against a full sort."""
from typing import List, Tuple

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import unit_rows
from benchmarks.peers.segsort import voted
from mmpixsort.functional import vote_fractions
from mmpixsort.retrieval import build_index

NEIGHBORS, CLASSES = 21, 21
# of equal similarities either may come first, and of near ones by rounding
RANK_LIMIT, VOTE_LIMIT = 1e-3, 1e-2


def retrieval(rows: int, dims: int, queries: int = 144,
              target: str = '') -> Setup:
    """Return a setup of the segments of an image and a bank of segments."""

    def build(device: torch.device) -> Trial:
        keys = unit_rows(rows, dims).to(device)
        labels = (torch.arange(rows) % CLASSES).to(device)
        asked = unit_rows(queries, dims, seed=1).to(device)
        index = build_index(keys)

        def ours() -> Tuple[Tensor, Tensor]:
            similarity, found = index.search(asked, NEIGHBORS)
            votes = vote_fractions(
                labels[found], similarity, num_classes=CLASSES)
            return found, votes.argmax(1)

        def peer() -> Tuple[Tensor, Tensor]:
            return voted(asked, keys, labels, NEIGHBORS, CLASSES)

        def equals() -> List[Equal]:
            names = 'neighbours', 'winners of the vote'
            limits = RANK_LIMIT, VOTE_LIMIT
            return [Equal(*parts) for parts in zip(
                names, ours(), peer(), limits)]

        return Trial(ours, peer, equals)

    return Setup(
        f'{rows:,} x {dims}', f'{rows:,} keys, D {dims}, {queries} queries, '
        f'k {NEIGHBORS}, with vote', build, peer='full sort', target=target)


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [retrieval(300, 6, 10)]
    return [
        retrieval(100_000, 32, target='60x'),
        retrieval(100_000, 64, target='60x'),
        retrieval(100_000, 256, target='60x'),
        retrieval(1_000_000, 32, target='60x')
    ]


CASE = Case(
    'R1', 'exact retrieval against a full sort', setups,
    limits='FAISS searches here, and our time is that of its product of '
    'queries and keys, 7.4 GFLOP with 256 dims. The sort of the peer does '
    'not depend on the dims, so the ratio falls with them.')
