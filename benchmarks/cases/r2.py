"""Exact retrieval, against FAISS at its best setting and at its default."""
from typing import List, Tuple

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import unit_rows
from benchmarks.peers.libraries import (FAISS_BLAS_THRESHOLD, faiss_search,
                                        library)
from mmpixsort.retrieval import build_index

from .r1 import NEIGHBORS, RANK_LIMIT


def flat_search(rows: int, dims: int, queries: int, *, target: str = '',
                best: bool = True) -> Setup:
    """Return a setup of `build_index` beside an index of FAISS.

    Args:
        rows: M.
        dims: D.
        queries: Q.
        target: Target of the ratio.
        best: Whether the threshold of its BLAS path is lowered.
    """

    def build(device: torch.device) -> Trial:
        faiss = library('faiss')
        keys = unit_rows(rows, dims)
        asked = unit_rows(queries, dims, seed=1)
        index = build_index(keys)
        theirs = faiss.IndexFlatIP(dims)
        theirs.add(keys.numpy())
        array = asked.numpy()
        threshold = (FAISS_BLAS_THRESHOLD if best else
                     faiss.cvar.distance_compute_blas_threshold)

        def ours() -> Tuple[Tensor, Tensor]:
            return index.search(asked, NEIGHBORS)

        def peer():
            return faiss_search(theirs, array, NEIGHBORS, threshold)

        def equals() -> List[Equal]:
            (similarity, found), (want, ids) = ours(), peer()
            return [Equal('similarities', similarity, torch.from_numpy(want),
                          1e-5),
                    Equal('neighbours', found, torch.from_numpy(ids),
                          RANK_LIMIT)]

        return Trial(ours, peer, equals)

    setting = 'best setting' if best else 'default setting'
    return Setup(
        f'Q {queries}, D {dims}' + (', default' if not best else ''),
        f'{rows:,} keys, D {dims}, {queries} queries, k {NEIGHBORS}', build,
        peer=f'FAISS flat, {setting}', target=target, devices=('cpu', ))


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [flat_search(300, 6, 10)]
    return [
        *(flat_search(200_000, dims, 144, target='1x')
          for dims in (32, 64, 256)),
        flat_search(200_000, 64, 1024, target='1x'),
        flat_search(200_000, 64, 4096, target='1x'),
        flat_search(200_000, 64, 144, best=False)
    ]


CASE = Case('R2', 'exact retrieval against FAISS', setups)
