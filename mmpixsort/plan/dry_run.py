"""Find the peak memory of a step without data, on a CPU or as on a GPU."""
from contextlib import AbstractContextManager, nullcontext
from typing import Callable, Set

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

DEVICES = ('cpu', 'cuda')


def dry_run_peak(prepare: Callable[[], Callable[[], object]],
                 device: str) -> int:
    """Return the peak of the bytes that the tensors of a step hold.

    The step runs as it is, but on tensors that have a shape and no data, so
    that a bank of any size takes neither memory nor time. Its inputs do not
    count. What the allocator holds beside the tensors, and the workspace of
    libraries within one call, are not seen.

    Args:
        prepare: Function that makes the inputs and returns the step. The
            step must not read values of tensors.
        device: 'cpu', or 'cuda' for the calls that a GPU would get.

    Example:
        >>> def prepare():
        ...     rows = torch.zeros(1000, 1000)
        ...     return lambda: (rows + 1).sum()
        >>> dry_run_peak(prepare, 'cpu')
        4000004
    """
    kind = 'cpu' if device == 'cpu' else 'meta'
    with _without_data(kind), torch.device(kind):
        step = prepare()
        with LiveBytes() as live:
            step()
    return live.peak


def _without_data(kind: str) -> AbstractContextManager:
    """Return a context whose tensors have no data; those of meta never do."""
    return FakeTensorMode() if kind == 'cpu' else nullcontext()


class LiveBytes(TorchDispatchMode):
    """Follow the bytes of the tensors that are made and not yet freed.

    Attributes:
        peak: Largest number of bytes after any call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._sizes = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Call the function and count the storages that it made."""
        kwargs = kwargs or {}
        given = _storages((args, kwargs))
        result = function(*args, **kwargs)
        for storage in _storages(result) - given - self._sizes.keys():
            self._sizes[storage] = _num_bytes(storage, result)
        self._sizes = {storage: size for storage, size in self._sizes.items()
                       if not storage.expired()}
        self.peak = max(self.peak, sum(self._sizes.values()))
        return result


def _tensors(tree: object) -> list:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def _storages(tree: object) -> Set[StorageWeakRef]:
    return {StorageWeakRef(t.untyped_storage()) for t in _tensors(tree)}


def _num_bytes(storage: StorageWeakRef, result: object) -> int:
    return next(t.untyped_storage().nbytes() for t in _tensors(result)
                if StorageWeakRef(t.untyped_storage()) == storage)
