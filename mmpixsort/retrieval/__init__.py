"""Store, build, search and edit banks of prototypes and instances."""
from mmpixsort.utils import engine  # noqa: F401  says what is missing

from .bank_file import (PrototypeBank, check_bank, check_fits, read_bank,
                        write_bank)
from .edit import add, cluster, images_named, info, merge, relabel, remove
from .index import build_index, recall_at_k

__all__ = [
    'PrototypeBank', 'add', 'build_index', 'check_bank', 'check_fits',
    'cluster', 'images_named', 'info', 'merge', 'read_bank', 'recall_at_k',
    'relabel', 'remove', 'write_bank'
]
