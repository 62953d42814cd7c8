"""Memory for large maps."""
import mmap
from contextlib import suppress
from math import prod

import torch
from torch import Tensor

SMALLEST = 1 << 22  # bytes; two huge pages


def empty_map(*shape: int, like: Tensor) -> Tensor:
    """Return a tensor that nothing was written to, of a type and device.

    On a CPU a large one lies in huge pages, which torch takes only where
    THP_MEM_ALLOC_ENABLE=1: the first touch of small ones costs six times as
    much, 0.4 ms a MB, which is a third of the whole discriminative loss.
    """
    size = prod(shape) * like.element_size()
    if (like.device.type != 'cpu' or size < SMALLEST
            or not hasattr(mmap, 'MADV_HUGEPAGE')):
        return like.new_empty(shape)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # advice; a kernel may have no huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)
