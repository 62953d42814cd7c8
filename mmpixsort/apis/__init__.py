"""Functions for users: attach methods, predict, build banks, explain."""
from mmpixsort.utils import engine  # noqa: F401  says what is missing

from .attach import METHODS, Method, attach, attach_file, register_method
from .inferencer import PixSortInferencer
from .zoo import download_model, get_model, list_models

__all__ = [
    'METHODS', 'Method', 'PixSortInferencer', 'attach', 'attach_file',
    'download_model', 'get_model', 'list_models', 'register_method'
]
