"""Search for the nearest rows of a bank.

Shapes: M rows, D embedding dimensions, Q queries, k neighbours.
"""
import math
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Iterator, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.segments.nearest import nearest_keys
from mmpixsort.utils.extras import extra_error

KINDS = ('exact', 'ivf', 'sq')
# Number of queries below which FAISS uses an algorithm that is slow here. The
# default may be as large as 128000, but an image has only about 144 segments.
BLAS_THRESHOLD = 20


class ExactIndex:
    """Exact search on the device of the rows.

    Rows of float32 on a CPU are searched by FAISS where it is installed, and
    without a copy of them. It is up to 1.6 times as fast there as
    :func:`mmpixsort.functional.nearest_keys`, which searches all other rows.
    Both find the same neighbours; their similarities differ by rounding, and
    the order of rows with equal similarities is not defined.

    Args:
        features: Unit rows (M, D), floating point numbers of any precision.
    """

    def __init__(self, features: Tensor) -> None:
        self.features = features

    def search(self, queries: Tensor,
               num_neighbors: int) -> Tuple[Tensor, Tensor]:
        """Return the nearest rows of queries, the most similar first.

        Args:
            queries: Unit rows (Q, D).
            num_neighbors: Number of neighbours k, at most M.

        Returns:
            Similarities (Q, k) and indices (Q, k) of the rows.

        Raises:
            ValueError: If a shape is wrong, or k exceeds M.
        """
        rows = self.features
        queries = queries.to(rows.device)
        by_faiss = (
            rows.device.type == 'cpu' and rows.dtype == torch.float32
            and queries.dtype != torch.float64 and has_faiss()
            and queries.dim() == 2 and queries.shape[1] == rows.shape[1]
            and 0 < num_neighbors <= len(rows))
        if by_faiss:
            faiss = import_faiss()
            with _settings(faiss):
                similarities, found = faiss.knn(
                    _array(queries), _array(rows), num_neighbors,
                    metric=faiss.METRIC_INNER_PRODUCT)
            if (found >= 0).all():  # there is no neighbour of NaN
                return torch.from_numpy(similarities), torch.from_numpy(found)
        return nearest_keys(queries, rows, num_neighbors=num_neighbors)


class FaissIndex:
    """Search with FAISS for the rows with the largest inner products.

    Args:
        features: Unit rows (M, D).
        kind: Kind of index: 'ivf' has inverted lists; 'sq' has inverted
            lists of half precision numbers.
        num_lists: Number of inverted lists. None takes 4 sqrt(M), or fewer
            lists if they would have less than 39 rows each on average, which
            FAISS needs for training.
        num_probes: Number of lists that are searched for a query.

    Raises:
        ImportError: If FAISS is not installed.
        ValueError: If the kind is unknown.
    """

    def __init__(self,
                 features: Tensor,
                 *,
                 kind: str = 'ivf',
                 num_lists: Optional[int] = None,
                 num_probes: int = 32) -> None:
        check_choice('kind', kind, KINDS[1:])
        check_count('num_probes', num_probes)
        faiss = import_faiss()
        rows = _array(features)
        count, dims = rows.shape
        if num_lists is None:
            num_lists = max(1, min(int(4 * math.sqrt(count)), count // 39))
        name = dict(
            ivf=f'IVF{num_lists},Flat', sq=f'IVF{num_lists},SQfp16')[kind]
        self.index = faiss.index_factory(
            dims, name, faiss.METRIC_INNER_PRODUCT)
        self.index.nprobe = min(num_probes, num_lists)
        self.index.train(rows)
        self.index.add(rows)

    def search(self, queries: Tensor,
               num_neighbors: int) -> Tuple[Tensor, Tensor]:
        """Return the nearest rows of queries, the most similar first.

        Args:
            queries: Unit rows (Q, D).
            num_neighbors: Number of neighbours k.

        Returns:
            Similarities (Q, k) and indices (Q, k) of the rows, on the CPU.

        Raises:
            ValueError: If the searched lists contain fewer than k rows.
        """
        with _settings(import_faiss()):
            similarities, found = self.index.search(
                _array(queries), num_neighbors)
        if (found < 0).any():
            raise ValueError(
                '`num_neighbors` must be at most the number of rows in the '
                f'searched lists, got {num_neighbors}: raise `num_probes`, or '
                'search exactly')
        return torch.from_numpy(similarities), torch.from_numpy(found)


def _array(rows: Tensor) -> np.ndarray:
    return np.ascontiguousarray(rows.detach().float().cpu().numpy())


@contextmanager
def _settings(faiss) -> Iterator[None]:
    """Make FAISS use BLAS for few queries, and the threads of torch."""
    threshold = faiss.cvar.distance_compute_blas_threshold
    threads = faiss.omp_get_max_threads()
    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = threshold
        faiss.omp_set_num_threads(threads)


@lru_cache(maxsize=1)
def has_faiss() -> bool:
    """Return whether FAISS is installed."""
    return find_spec('faiss') is not None


def import_faiss():
    """Import FAISS, which an optional extra installs.

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
    """Build an index of rows with a method `search`.

    Args:
        features: Unit rows (M, D).
        kind: Kind of index: 'exact', or 'ivf' or 'sq' of FAISS.
        num_lists: Number of inverted lists; see :class:`FaissIndex`.
        num_probes: Number of searched lists; see :class:`FaissIndex`.

    Returns:
        An :class:`ExactIndex` for 'exact', otherwise a :class:`FaissIndex`.
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
    """Return the fraction of the truly nearest rows that an index finds.

    The queries are random rows with added noise of a tenth of their length,
    so that no query equals a row.

    Args:
        index: Index of `features`.
        features: Unit rows (M, D).
        num_neighbors: Number of neighbours k.
        num_queries: Number of queries; at most M are used.
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
