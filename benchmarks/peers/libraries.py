"""Libraries that cases are compared with; each comes with an extra.

They are imported when a case needs one, so that the others run without.
"""
from importlib import import_module
from types import ModuleType

from mmpixsort.utils.extras import extra_error

NAMES = {
    'faiss': 'FAISS',
    'pytorch_metric_learning': 'pytorch-metric-learning',
    'sklearn': 'scikit-learn'
}
# Below it FAISS takes a path without BLAS, 128000 by default: many times
# slower for the queries of an image
FAISS_BLAS_THRESHOLD = 20


def library(module: str) -> ModuleType:
    """Import a module of a library.

    Args:
        module: 'faiss' or 'sklearn.cluster', say.

    Raises:
        ImportError: When it is missing; it names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = NAMES[module.partition('.')[0]]
        raise extra_error(f'this case is compared with {name}', 'benchmarks',
                          error) from error


def faiss_search(index, queries, count: int, threshold: int):
    """Search an index of FAISS by a threshold of its BLAS path."""
    settings = library('faiss').cvar
    before = settings.distance_compute_blas_threshold
    settings.distance_compute_blas_threshold = threshold
    try:
        return index.search(queries, count)
    finally:
        settings.distance_compute_blas_threshold = before
