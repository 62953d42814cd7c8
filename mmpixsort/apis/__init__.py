"""What users call: attach a method to a host, build banks, explain."""
from mmpixsort.utils import engine  # noqa: F401  says what is missing

from .attach import METHODS, Method, attach, attach_file, register_method

__all__ = ['METHODS', 'Method', 'attach', 'attach_file', 'register_method']
