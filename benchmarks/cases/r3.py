"""Approximate retrieval: what the wrapper of FAISS costs, and how it votes."""
import time
from typing import Dict, List, Tuple

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import unit_rows
from benchmarks.peers.libraries import (FAISS_BLAS_THRESHOLD, faiss_search,
                                        library)
from mmpixsort.functional import nearest_keys, vote_fractions
from mmpixsort.retrieval import build_index

from .r1 import CLASSES, NEIGHBORS


def lists(rows: int, dims: int, num_lists: int, num_probes: int,
          queries: int = 144, target: str = '') -> Setup:
    """Return a setup of inverted lists, of which some are searched."""

    def build(device: torch.device) -> Trial:
        faiss = library('faiss')
        # classes that differ, else every list holds every class
        centers = unit_rows(CLASSES, dims, seed=2)
        labels = torch.arange(rows) % CLASSES
        keys = torch.nn.functional.normalize(
            centers[labels] + unit_rows(rows, dims), dim=1)
        asked = torch.nn.functional.normalize(
            centers[torch.arange(queries) % CLASSES]
            + unit_rows(queries, dims, seed=1), dim=1)
        start = time.thread_time()
        index = build_index(keys, kind='ivf', num_lists=num_lists,
                            num_probes=num_probes)
        seconds = time.thread_time() - start
        theirs = faiss.index_factory(dims, f'IVF{num_lists},Flat',
                                     faiss.METRIC_INNER_PRODUCT)
        theirs.nprobe = num_probes
        theirs.train(keys.numpy())
        theirs.add(keys.numpy())
        array = asked.numpy()

        def ours() -> Tuple[Tensor, Tensor]:
            return index.search(asked, NEIGHBORS)

        def peer():
            return faiss_search(theirs, array, NEIGHBORS,
                                FAISS_BLAS_THRESHOLD)

        def vote(found: Tensor) -> Tensor:
            return vote_fractions(labels[found],
                                  num_classes=CLASSES).argmax(1)

        def facts() -> Dict[str, float]:
            exact = nearest_keys(asked, keys, num_neighbors=NEIGHBORS)[1]
            same = vote(ours()[1]) == vote(exact)
            return {'seconds to build': seconds,
                    'votes as by exact search': same.float().mean().item()}

        def equals() -> List[Equal]:
            return [Equal('neighbours', ours()[1],
                          torch.from_numpy(peer()[1]), 0.)]

        return Trial(ours, peer, equals, facts)

    return Setup(
        f'{num_probes} of {num_lists} lists', f'{rows:,} keys, D {dims}, '
        f'{queries} queries, k {NEIGHBORS}', build,
        peer='FAISS itself, the same index', target=target,
        devices=('cpu', ))


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [lists(400, 6, 4, 2, 10)]
    return [lists(200_000, 64, 512, probes, target='0.95x')
            for probes in (4, 16, 64)]


CASE = Case('R3', 'approximate retrieval by inverted lists', setups)
