"""Sphinx extension: fields of named tuples are described once.

Their docstrings list them below `Attributes`. Python adds to each field the
docstring 'Alias for field number 0', which says nothing.
"""
from typing import NamedTuple


class _Example(NamedTuple):
    field: int


FIELD = type(_Example.__dict__['field'])


def skip_field(app, what, name, obj, skip, options) -> bool:
    """Tell whether to leave out a member of a class."""
    return skip or isinstance(obj, FIELD)


def setup(app) -> dict:
    """Register the extension with Sphinx."""
    app.connect('autodoc-skip-member', skip_field)
    return dict(parallel_read_safe=True)
