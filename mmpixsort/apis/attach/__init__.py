"""Attach a method to a config of a host."""
from .attachment import Attachment, attach, load_config, plan
from .config_file import attach_file
from .methods import METHODS, Method, register_method

__all__ = [
    'METHODS', 'Attachment', 'Method', 'attach', 'attach_file',
    'load_config', 'plan', 'register_method'
]
