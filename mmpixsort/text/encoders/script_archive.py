"""Read the tensors of a TorchScript archive without running its code.

`torch.jit.load` runs every `__setstate__` method in the file, which may do
anything, such as writing files. This module reads the pickle of the archive
with an unpickler that accepts only tensors, containers and plain objects.
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
    """An object of the archive: its attributes without its code."""

    def __init__(self, *args: Any) -> None:
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state


def is_script(path: Union[str, Path]) -> bool:
    """Return whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl')
                   for name in archive.namelist())


def script_tensors(path: Union[str, Path]) -> Dict[str, Tensor]:
    """Return the tensors of an archive under their dotted names.

    Args:
        path: Path of a file that `torch.jit.save` wrote. It is not
            compressed, so its tensors cannot be larger than the file.

    Raises:
        ValueError: If the archive is damaged, or contains anything but
            tensors, numbers, text and containers of these.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _tensors_of(_read(archive))
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError,
            IndexError, AttributeError, TypeError, RecursionError,
            RuntimeError, OSError) as error:
        raise ValueError(
            f'`{path}` must be a TorchScript archive of tensors, got '
            f'{type(error).__name__}: {error}; if you trust it, load it with '
            'torch.jit.load and write its state dict with torch.save'
        ) from error


def _read(archive: zipfile.ZipFile) -> Any:
    """Return the root object of an archive."""
    root, = (name[:-len('data.pkl')] for name in archive.namelist()
             if name.count('/') == 1 and name.endswith('/data.pkl'))
    return _Reader(archive, root).load()


class _Reader(pickle.Unpickler):
    """Unpickler of an archive that accepts only a few classes."""

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
        if module == 'torch.jit._pickle':  # builds typed lists and dicts
            return _first
        raise pickle.UnpicklingError(f'it contains {module}.{name}, which is '
                                     'not allowed')

    def persistent_load(self, saved: Tuple) -> Tensor:
        """Return the storage of a tensor as a flat tensor (N,)."""
        kind, dtype, key, _, count = saved
        if (kind != 'storage' or dtype not in STORAGES.values()
                or not str(key).isalnum()):
            raise pickle.UnpicklingError(f'it contains {saved!r}, which is '
                                         'not allowed')
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
    """Return a tensor as a view of its storage."""
    if (len(size) != len(stride) or offset < 0
            or any(n < 0 for n in (*size, *stride))):
        raise pickle.UnpicklingError(f'it holds a tensor of size {size} and '
                                     f'stride {stride}')
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if math.prod(size) > len(storage) or (
            math.prod(size) and last >= len(storage)):
        raise pickle.UnpicklingError(f'a tensor of size {size} is larger '
                                     'than its storage')
    return storage.as_strided(size, stride, offset)


def _tensors_of(node: Any, prefix: str = '') -> Dict[str, Tensor]:
    """Return the tensors of an object and of all objects inside it."""
    found: Dict[str, Tensor] = {}
    state = node.state if isinstance(node, Node) else {}
    for name, value in (state.items() if isinstance(state, dict) else ()):
        if isinstance(value, Tensor):
            found[f'{prefix}{name}'] = value
        elif isinstance(value, Node):
            found.update(_tensors_of(value, f'{prefix}{name}.'))
    return found
