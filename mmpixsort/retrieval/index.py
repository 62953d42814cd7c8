"""Search for the nearest rows of a bank, exactly in torch or with FAISS.

Shapes: M rows, D embedding dimensions, Q queries, k neighbours.
"""
import math
from typing import Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.segments.nearest import nearest_keys
from mmpixsort.utils.extras import extra_error

KINDS = ('exact', 'flat', 'ivf', 'sq')
# FAISS uses a slow algorithm for fewer queries than this threshold, which is
# 128000 by default; an image has only about 144 segments
BLAS_THRESHOLD = 20


class ExactIndex:
    """Search exactly in torch, on the device of the rows.

    Args:
        features: Unit rows (M, D) of any precision.
    """

    def __init__(self, features: Tensor) -> None:
        self.features = features

    def search(self, queries: Tensor,
               num_neighbors: int) -> Tuple[Tensor, Tensor]:
        """Return similarities and rows (Q, k), the most similar first."""
        return nearest_keys(
            queries.to(self.features.device),
            self.features,
            num_neighbors=num_neighbors)


class FaissIndex:
    """Search with FAISS for the largest inner products.

    Args:
        features: Unit rows (M, D).
        kind: Kind of index: 'flat' is exact; 'ivf' has inverted lists; 'sq'
            has inverted lists of half precision numbers.
        num_lists: Number of inverted lists. None takes about 4 sqrt(M), but
            leaves at least 39 rows a list, the number that FAISS needs for
            training.
        num_probes: Number of lists that are searched.

    Raises:
        ImportError: If FAISS is not installed.
        ValueError: If the kind is unknown.
    """

    def __init__(self,
                 features: Tensor,
                 *,
                 kind: str = 'flat',
                 num_lists: Optional[int] = None,
                 num_probes: int = 32) -> None:
        check_choice('kind', kind, KINDS[1:])
        check_count('num_probes', num_probes)
        self.faiss = import_faiss()
        rows = np.ascontiguousarray(features.float().cpu().numpy())
        count, dims = rows.shape
        if num_lists is None:
            num_lists = max(1, min(int(4 * math.sqrt(count)), count // 39))
        name = dict(
            flat='Flat', ivf=f'IVF{num_lists},Flat',
            sq=f'IVF{num_lists},SQfp16')[kind]
        self.index = self.faiss.index_factory(
            dims, name, self.faiss.METRIC_INNER_PRODUCT)
        if kind != 'flat':
            self.index.nprobe = min(num_probes, num_lists)
            self.index.train(rows)
        self.index.add(rows)

    def search(self, queries: Tensor,
               num_neighbors: int) -> Tuple[Tensor, Tensor]:
        """Return similarities and rows (Q, k), the most similar first.

        Raises:
            ValueError: If the searched lists contain fewer than k rows.
        """
        rows = np.ascontiguousarray(queries.float().cpu().numpy())
        settings = self.faiss.cvar
        before = settings.distance_compute_blas_threshold
        settings.distance_compute_blas_threshold = BLAS_THRESHOLD
        try:
            similarities, found = self.index.search(rows, num_neighbors)
        finally:
            settings.distance_compute_blas_threshold = before
        if (found < 0).any():
            raise ValueError(
                f'`num_neighbors` must be less than {num_neighbors} for so '
                'few lists: raise `num_probes`, or search exactly')
        return torch.from_numpy(similarities), torch.from_numpy(found)


def import_faiss():
    """Import FAISS, which belongs to an optional extra.

    Raises:
        ImportError: If FAISS is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise extra_error('this kind of search needs FAISS', 'faiss', error,
                          'kind="exact" works without it') from error
    return faiss


def build_index(features: Tensor,
                *,
                kind: str = 'exact',
                num_lists: Optional[int] = None,
                num_probes: int = 32):
    """Build an index, whose method is `search(queries, num_neighbors)`.

    Args:
        features: Unit rows (M, D).
        kind: Kind of index: 'exact' (torch), or 'flat', 'ivf' or 'sq' of
            FAISS.
        num_lists: Number of inverted lists; see :class:`FaissIndex`.
        num_probes: Number of searched lists; see :class:`FaissIndex`.
    """
    check_choice('kind', kind, KINDS)
    if kind == 'exact':
        return ExactIndex(features)
    return FaissIndex(
        features, kind=kind, num_lists=num_lists, num_probes=num_probes)


def recall_at_k(index,
                features: Tensor,
                *,
                num_neighbors: int,
                num_queries: int = 256,
                seed: int = 0) -> float:
    """Return the share of the exact nearest rows that an index finds.

    Args:
        index: FAISS index that contains `features`.
        features: Rows (M, D).
        num_neighbors: Number of neighbours k.
        num_queries: Number of queries: random rows plus noise of a tenth of
            their length, so that no query equals a row.
        seed: Seed of the random draws.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = features.float().cpu()
    pick = torch.randperm(len(rows), generator=generator)[:num_queries]
    noise = torch.randn(len(pick), rows.shape[1], generator=generator)
    queries = torch.nn.functional.normalize(
        rows[pick] + .1 * noise / rows.shape[1]**.5, dim=1)
    _, exact = nearest_keys(queries, rows, num_neighbors=num_neighbors)
    _, found = index.search(queries, num_neighbors)
    hits = (exact[:, :, None] == found.cpu()[:, None]).any(2)
    return hits.float().mean().item()
