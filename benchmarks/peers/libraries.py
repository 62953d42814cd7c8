"""Import the libraries that cases are compared with.

They belong to an optional extra and are imported when a case needs one, so
that the other cases run without them.
"""
from importlib import import_module
from types import ModuleType

from mmpixsort.utils.extras import extra_error

NAMES = {
    'faiss': 'FAISS',
    'pytorch_metric_learning': 'pytorch-metric-learning',
    'sklearn': 'scikit-learn'
}
# for fewer queries than this threshold, 128000 by default, FAISS does not use
# BLAS and is many times slower for the queries of an image
FAISS_BLAS_THRESHOLD = 20


def library(module: str) -> ModuleType:
    """Import a module of a library.

    Args:
        module: Name of the module, such as 'faiss' or 'sklearn.cluster'.

    Raises:
        ImportError: If it is missing; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = NAMES[module.partition('.')[0]]
        raise extra_error(f'this case is compared with {name}', 'benchmarks',
                          error) from error


def faiss_search(index, queries, count: int, threshold: int):
    """Search an index of FAISS with a threshold for the use of BLAS."""
    settings = library('faiss').cvar
    before = settings.distance_compute_blas_threshold
    settings.distance_compute_blas_threshold = threshold
    try:
        return index.search(queries, count)
    finally:
        settings.distance_compute_blas_threshold = before
