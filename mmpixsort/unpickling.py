"""Safe loading of the log history in checkpoints of mmengine.

`torch.load(..., weights_only=True)` refuses the log history that mmengine
stores in every checkpoint unless its classes are declared safe, which holds
for every file that the process loads. The classes of NumPy are not safe:
`np.ndarray`, called with an object dtype and bytes of a file, takes these
bytes for pointers. Each NumPy name in a checkpoint is therefore mapped to a
class or function of this module that can only make arrays and scalars of
numbers.
"""
import math
from typing import Any, Callable, List, Tuple

import numpy as np

KINDS = 'biuf'  # allowed kinds of dtypes: booleans, integers and floats
REMEDY = ('load it only if you trust its source, with '
          'torch.load(..., weights_only=False)')


class Number:
    """Replacement of `numpy.dtype` that allows only dtypes of numbers.

    Args:
        code: Code of the dtype in a pickle, such as 'f8'.
        align: Ignored; pickles contain it.
        copy: Ignored; pickles contain it.

    Raises:
        TypeError: If the dtype is not one of numbers.
    """

    def __init__(self, code: str, align: bool = False,
                 copy: bool = False) -> None:
        dtype = np.dtype(code) if isinstance(code, str) else None
        if dtype is None or dtype.kind not in KINDS or dtype.subdtype:
            raise TypeError('a checkpoint may hold arrays of numbers, got '
                            f'dtype {code!r}; {REMEDY}')
        self.dtype = dtype

    def __setstate__(self, state: Tuple) -> None:
        # the state is (version, byte order, subdtype, names, fields, size,
        # alignment, flags)
        if any(part is not None for part in state[2:5]):
            raise TypeError('a checkpoint may hold arrays of numbers, got a '
                            f'dtype with fields; {REMEDY}')
        if state[1] in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(state[1])


class Array(np.ndarray):
    """Replacement of `numpy.ndarray` that can be filled but not called."""

    def __new__(cls, *args: Any, **kwargs: Any) -> 'Array':
        raise TypeError('a checkpoint may not build arrays by itself; '
                        + REMEDY)

    def __setstate__(self, state: Tuple) -> None:
        _, shape, number, fortran, content = state
        size = math.prod(shape) * _dtype_of(number).itemsize
        if not isinstance(content, bytes) or len(content) != size:
            raise TypeError(f'an array of shape {shape} in a checkpoint must '
                            f'hold {size} bytes; the file is damaged')
        super().__setstate__((1, shape, number.dtype, bool(fortran), content))

    def __reduce__(self):  # saved again as an array of NumPy
        return np.asarray(self).view(np.ndarray).__reduce__()


def _dtype_of(number: Any) -> np.dtype:
    if type(number) is not Number:
        raise TypeError('a checkpoint may hold arrays of numbers, got dtype '
                        f'{number!r}; {REMEDY}')
    return number.dtype


def reconstruct(kind: type, shape: Tuple, code: bytes) -> Array:
    """Return an empty array to fill, in place of NumPy's `_reconstruct`."""
    if kind is not Array or tuple(shape) != (0, ):
        raise TypeError(f'a checkpoint may not build {kind!r}; {REMEDY}')
    return np.ndarray.__new__(Array, (0, ), np.int8)


def scalar(number: Number, content: bytes) -> np.generic:
    """Return a number of NumPy, in place of NumPy's `scalar`."""
    dtype = _dtype_of(number)
    if not isinstance(content, bytes) or len(content) != dtype.itemsize:
        raise TypeError(f'a number of {dtype} in a checkpoint must hold '
                        f'{dtype.itemsize} bytes; the file is damaged')
    return np.frombuffer(content, dtype)[0]


def no_bytes(*args: Any) -> bytes:
    """Return empty bytes, the content of an empty array, for `bytes`."""
    if args:
        raise TypeError('a checkpoint may not build bytes; ' + REMEDY)
    return b''


def history_method(owner: type, name: str) -> Callable:
    """Return a public method of HistoryBuffer, in place of `getattr`.

    Checkpoints store these methods as calls of `getattr`. If the builtin were
    allowed, a checkpoint could read any attribute of any allowed object.
    """
    from mmengine.logging import HistoryBuffer
    if owner is not HistoryBuffer or name.startswith('_'):
        raise TypeError(
            'a checkpoint may only look up public methods of HistoryBuffer, '
            f'got `{name}` of {owner!r}; {REMEDY}')
    return getattr(owner, name)


def checkpoint_globals() -> List:
    """Return the list of entries for `torch.serialization.add_safe_globals`.

    Files refer to `numpy.core` if written with numpy 1 and to `numpy._core`
    with numpy 2, and pickles of protocol 2 to either name of the builtins.
    """
    from mmengine.logging import HistoryBuffer
    entries: List = [
        HistoryBuffer, (Array, 'numpy.ndarray'), (Number, 'numpy.dtype')
    ]
    for path in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        entries += [(reconstruct, f'{path}._reconstruct'),
                    (scalar, f'{path}.scalar')]
    for module in ('builtins', '__builtin__'):
        entries += [(history_method, f'{module}.getattr'),
                    (no_bytes, f'{module}.bytes')]
    return entries
