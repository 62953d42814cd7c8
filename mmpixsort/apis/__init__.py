"""What users call: attach a method to a host, and run the demonstration."""
from ..utils import engine  # noqa: F401  says what is missing
from .attach import attach
from .attach_file import attach_file
from .methods import METHODS, Method, register_method

__all__ = ['METHODS', 'Method', 'attach', 'attach_file', 'register_method']
