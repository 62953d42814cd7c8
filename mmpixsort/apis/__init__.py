"""Functions for users: attach methods, build banks, explain predictions."""
from mmpixsort.utils import engine  # noqa: F401  says what is missing

from .attach import METHODS, Method, attach, attach_file, register_method
from .zoo import download_model, get_model, list_models

__all__ = [
    'METHODS', 'Method', 'attach', 'attach_file', 'download_model',
    'get_model', 'list_models', 'register_method'
]
