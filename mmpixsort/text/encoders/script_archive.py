"""Tensors of a TorchScript archive, without running what it holds.

`torch.jit.load` runs code of the file: any `__setstate__` in it, which can
write files. Here the pickle of the archive is read by an unpickler that knows
tensors, containers and nameless objects, and nothing else.
"""
import collections
import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any, Dict, Tuple, Union

import torch
from torch import Tensor

from mmpixsort.utils.archives import stored_entry

STORAGES = dict(
    BFloat16Storage=torch.bfloat16, BoolStorage=torch.bool,
    ByteStorage=torch.uint8, CharStorage=torch.int8,
    DoubleStorage=torch.float64, FloatStorage=torch.float32,
    HalfStorage=torch.float16, IntStorage=torch.int32,
    LongStorage=torch.int64, ShortStorage=torch.int16)


class Node:
    """An object of the archive: its attributes, none of its code."""

    def __init__(self, *args: Any) -> None:
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state


def is_script(path: Union[str, Path]) -> bool:
    """Tell whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl')
                   for name in archive.namelist())


def script_tensors(path: Union[str, Path]) -> Dict[str, Tensor]:
    """Return the tensors of an archive by their dotted names.

    Args:
        path: As `torch.jit.save` writes it: data are not compressed, so
            they cannot be larger than the file.

    Raises:
        ValueError: When the archive is damaged, or holds more than tensors,
            numbers, text and containers of them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _tensors_of(_read(archive))
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError,
            IndexError, AttributeError, TypeError, RecursionError,
            RuntimeError, OSError) as error:
        raise ValueError(
            f'`{path}` must be a TorchScript archive of tensors, got '
            f'{type(error).__name__}: {error}; export its state dict with '
            'torch.save where you trust it') from error


def _read(archive: zipfile.ZipFile) -> Any:
    """Return the root object of an archive."""
    root, = (name[:-len('data.pkl')] for name in archive.namelist()
             if name.count('/') == 1 and name.endswith('/data.pkl'))
    return _Reader(archive, root).load()


class _Reader(pickle.Unpickler):
    """Read the pickle of an archive with a short list of names."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(stored_entry(archive, f'{root}data.pkl')))
        self.archive = archive
        self.root = root

    def find_class(self, module: str, name: str) -> Any:
        if module == '__torch__' or module.startswith('__torch__.'):
            return Node
        if module == 'torch' and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return _rebuild
        if (module, name) == ('collections', 'OrderedDict'):
            return collections.OrderedDict
        if module == 'torch.jit._pickle':  # typed lists and dicts
            return _first
        raise pickle.UnpicklingError(f'it names {module}.{name}')

    def persistent_load(self, saved: Tuple) -> Tensor:
        """Return the storage of a tensor (N,)."""
        kind, dtype, key, _, count = saved
        if (kind != 'storage' or dtype not in STORAGES.values()
                or not str(key).isalnum()):
            raise pickle.UnpicklingError(f'it refers to {saved!r}')
        content = bytearray(
            stored_entry(self.archive, f'{self.root}data/{key}'))
        if len(content) != count * dtype.itemsize:
            raise pickle.UnpicklingError(
                f'storage {key} has {len(content)} bytes, expected '
                f'{count * dtype.itemsize}')
        if not content:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(content, dtype=dtype)


def _first(value: Any, *args: Any) -> Any:
    return value


def _rebuild(storage: Tensor, offset: int, size: Tuple[int, ...],
             stride: Tuple[int, ...], *args: Any) -> Tensor:
    """Return a tensor that is a view of its storage."""
    if (len(size) != len(stride) or offset < 0
            or any(n < 0 for n in (*size, *stride))):
        raise pickle.UnpicklingError(f'it holds a tensor of size {size} and '
                                     f'stride {stride}')
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if math.prod(size) > len(storage) or (
            math.prod(size) and last >= len(storage)):
        raise pickle.UnpicklingError(f'a tensor of size {size} reaches over '
                                     'the end of its storage')
    return storage.as_strided(size, stride, offset)


def _tensors_of(node: Any, prefix: str = '') -> Dict[str, Tensor]:
    """Return the tensors of an object and of those below it."""
    found: Dict[str, Tensor] = {}
    state = node.state if isinstance(node, Node) else {}
    for name, value in (state.items() if isinstance(state, dict) else ()):
        if isinstance(value, Tensor):
            found[f'{prefix}{name}'] = value
        elif isinstance(value, Node):
            found.update(_tensors_of(value, f'{prefix}{name}.'))
    return found
