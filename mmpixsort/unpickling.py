"""What a checkpoint of mmengine may hold beside tensors and plain types.

`torch.load(..., weights_only=True)` refuses the log history that mmengine
keeps in every checkpoint, until its classes are declared safe, for the whole
process and for every file. NumPy's own classes are not: `np.ndarray` called
with an object dtype and bytes of the file makes pointers of these bytes. So
each name that such a file uses stands for a guarded one here, which makes
arrays and scalars of plain numbers and nothing else.
"""
import math
from typing import Any, Callable, List, Tuple

import numpy as np

KINDS = 'biuf'  # of dtypes: booleans, integers, floats
REMEDY = ('load it only if you trust its source, with '
          'torch.load(..., weights_only=False)')


class Number:
    """Stands for `numpy.dtype`: the dtype of plain numbers.

    Args:
        code: As NumPy pickles it, such as 'f8'.
        align: Not used.
        copy: Not used.

    Raises:
        TypeError: On any other dtype.
    """

    def __init__(self, code: str, align: bool = False,
                 copy: bool = False) -> None:
        dtype = np.dtype(code) if isinstance(code, str) else None
        if dtype is None or dtype.kind not in KINDS or dtype.subdtype:
            raise TypeError('a checkpoint may hold arrays of numbers, got '
                            f'dtype {code!r}; {REMEDY}')
        self.dtype = dtype

    def __setstate__(self, state: Tuple) -> None:
        # version, byte order, subdtype, names, fields, size, alignment, flags
        if any(part is not None for part in state[2:5]):
            raise TypeError('a checkpoint may hold arrays of numbers, got a '
                            f'dtype with fields; {REMEDY}')
        if state[1] in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(state[1])


class Array(np.ndarray):
    """Stands for `numpy.ndarray`: can be filled, but not called."""

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

    def __reduce__(self):  # what is saved again is NumPy's own
        return np.asarray(self).view(np.ndarray).__reduce__()


def _dtype_of(number: Any) -> np.dtype:
    if type(number) is not Number:
        raise TypeError('a checkpoint may hold arrays of numbers, got dtype '
                        f'{number!r}; {REMEDY}')
    return number.dtype


def reconstruct(kind: type, shape: Tuple, code: bytes) -> Array:
    """Stands for NumPy's `_reconstruct`: an empty array, to be filled."""
    if kind is not Array or tuple(shape) != (0, ):
        raise TypeError(f'a checkpoint may not build {kind!r}; {REMEDY}')
    return np.ndarray.__new__(Array, (0, ), np.int8)


def scalar(number: Number, content: bytes) -> np.generic:
    """Stands for NumPy's `scalar`."""
    dtype = _dtype_of(number)
    if not isinstance(content, bytes) or len(content) != dtype.itemsize:
        raise TypeError(f'a number of {dtype} in a checkpoint must hold '
                        f'{dtype.itemsize} bytes; the file is damaged')
    return np.frombuffer(content, dtype)[0]


def no_bytes(*args: Any) -> bytes:
    """Stands for `bytes`: the content of an empty array."""
    if args:
        raise TypeError('a checkpoint may not build bytes; ' + REMEDY)
    return b''


def history_method(owner: type, name: str) -> Callable:
    """Stands for `getattr`: a public method of HistoryBuffer.

    Checkpoints store these methods by `getattr`. Allowing the builtin itself
    would let any checkpoint read any attribute of any allowed object.
    """
    from mmengine.logging import HistoryBuffer
    if owner is not HistoryBuffer or name.startswith('_'):
        raise TypeError(
            'a checkpoint may only look up public methods of HistoryBuffer, '
            f'got `{name}` of {owner!r}; {REMEDY}')
    return getattr(owner, name)


def checkpoint_globals() -> List:
    """List what `torch.serialization.add_safe_globals` takes.

    A file written under numpy 1 names `numpy.core`, under numpy 2
    `numpy._core`; a pickle of protocol 2 names builtins in either way.
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
