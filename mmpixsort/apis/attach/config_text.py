"""Write values as Python source of at most 79 columns."""
import re
from typing import Mapping

WIDTH = 79


def assignment(name: str, value: object) -> str:
    """Return the source `name = value`, broken over lines if it is long.

    Example:
        >>> print(assignment('model', dict(type='X', channels=(1, 2))))
        model = dict(type='X', channels=(1, 2))
    """
    return f'{name} = {source(value, len(name) + 3)}'


def source(value: object, column: int = 0, indent: int = 0) -> str:
    """Return the source of a value.

    Args:
        value: Dict, list or tuple of such values, or a plain value.
        column: Column at which the source starts.
        indent: Indentation of the line in which it starts.
    """
    flat = _flat(value)
    if column + len(flat) + 1 <= WIDTH:
        return flat
    if isinstance(value, str):
        return _broken(value, indent + 4)
    if not _parts(value):
        return flat
    opening, closing, named = _parts(value)
    inner = indent + 4
    lines = [
        ' ' * inner + name + source(part, inner + len(name), inner)
        for name, part in named
    ]
    return opening + '\n' + ',\n'.join(lines) + closing


def _broken(text: str, indent: int) -> str:
    """Break a string over lines, after slashes and underscores."""
    pieces, width = [''], WIDTH - indent - 4
    for word in re.findall(r'[^/_]*[/_]?', text):
        if len(pieces[-1]) + len(word) > width:
            pieces.append('')
        pieces[-1] += word
    lines = [' ' * indent + repr(piece) for piece in pieces]
    return '(\n' + '\n'.join(lines) + ')'


def _flat(value: object) -> str:
    parts = _parts(value)
    if not parts:
        return repr(value)
    opening, closing, named = parts
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    inside = ', '.join(name + _flat(part) for name, part in named)
    return opening + inside + comma + closing


def _parts(value: object) -> tuple:
    """Return the brackets and the named parts of a value, () if plain."""
    if isinstance(value, Mapping):
        if all(isinstance(k, str) and k.isidentifier() for k in value):
            return 'dict(', ')', [(f'{k}=', v) for k, v in value.items()]
        return '{', '}', [(f'{k!r}: ', v) for k, v in value.items()]
    if isinstance(value, list):
        return '[', ']', [('', v) for v in value]
    if isinstance(value, tuple):
        return '(', ')', [('', v) for v in value]
    return ()
