"""Search among the rows of a bank: exact in torch, or by FAISS.

Shapes: M rows, D embedding dims, Q queries, k neighbours.
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
# FAISS takes a slow path for fewer queries than its threshold, 128000 by
# default; an image has some 144
BLAS_THRESHOLD = 20


class ExactIndex:
    """Exact search in torch, on the device of the rows.

    Args:
        features: (M, D) unit rows, of any precision.
    """

    def __init__(self, features: Tensor) -> None:
        self.features = features

    def search(self, queries: Tensor,
               num_neighbors: int) -> Tuple[Tensor, Tensor]:
        """Return similarities and rows (Q, k), most similar first."""
        return nearest_keys(
            queries.to(self.features.device),
            self.features,
            num_neighbors=num_neighbors)


class FaissIndex:
    """Search by FAISS, always for the largest inner product.

    Args:
        features: (M, D) unit rows.
        kind: 'flat': exact; 'ivf': inverted lists; 'sq': inverted lists of
            half precision numbers.
        num_lists: Number of inverted lists; None: about 4 sqrt(M), no fewer
            than 39 rows a list, which FAISS wants to learn from.
        num_probes: Lists that are searched.

    Raises:
        ImportError: When FAISS is missing.
        ValueError: On an unknown kind.
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
        """Return similarities and rows (Q, k), most similar first.

        Raises:
            ValueError: When the lists that are searched hold fewer rows.
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
    """Return the module of FAISS, an extra.

    Raises:
        ImportError: When it is missing.
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
    """Return an index with `search(queries, num_neighbors)`.

    Args:
        features: (M, D) unit rows.
        kind: 'exact' (torch), or of FAISS 'flat', 'ivf', 'sq'.
        num_lists: See :class:`FaissIndex`.
        num_probes: See :class:`FaissIndex`.
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
    """Return the share of the exact neighbours that an index finds.

    Args:
        index: FAISS index that holds `features`.
        features: (M, D).
        num_neighbors: k.
        num_queries: Rows that are looked up, drawn at random, with noise of
            a tenth of their length so that none is its own neighbour.
        seed: Seed of the random draw.
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
