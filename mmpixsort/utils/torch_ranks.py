"""The functions of `mmengine.dist` that losses need, with torch alone."""
from typing import List

import torch
from torch import Tensor, distributed

OPERATIONS = ('sum', 'max', 'min')


def get_world_size() -> int:
    """Return the number of ranks; 1 outside of a distributed run."""
    return distributed.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Return the index of this rank; 0 outside of a distributed run."""
    return distributed.get_rank() if _is_distributed() else 0


def all_reduce(values: Tensor, op: str = 'sum') -> None:
    """Replace a tensor by its sum, maximum or minimum over ranks, in place.

    Args:
        values: (...), with the same shape on all ranks, on any device.
        op: 'sum', 'max' or 'min'.

    Raises:
        ValueError: If `op` is another operation.
    """
    if op not in OPERATIONS:
        raise ValueError(f'`op` must be one of {OPERATIONS}, got {op!r}')
    if get_world_size() == 1:
        return
    moved = values.to(_device(values))
    distributed.all_reduce(moved, getattr(distributed.ReduceOp, op.upper()))
    if moved is not values:
        values.copy_(moved)


def all_gather(values: Tensor) -> List[Tensor]:
    """Return the tensors of all ranks, in the order of ranks.

    Args:
        values: (...), with the same shape on all ranks, on any device.
    """
    if get_world_size() == 1:
        return [values]
    moved = values.to(_device(values)).contiguous()
    parts = [torch.empty_like(moved) for _ in range(get_world_size())]
    distributed.all_gather(parts, moved)
    return [part.to(values.device) for part in parts]


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _device(values: Tensor) -> torch.device:
    """Return the device of tensors that the process group can exchange."""
    return {
        'gloo': torch.device('cpu'),
        'nccl': torch.device('cuda', torch.cuda.current_device())
        if torch.cuda.is_available() else values.device,
    }.get(distributed.get_backend(), values.device)
