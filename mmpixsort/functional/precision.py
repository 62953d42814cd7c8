"""Computations outside automatic mixed precision."""
from contextlib import AbstractContextManager, nullcontext

import torch


def autocast_off(device: torch.device) -> AbstractContextManager:
    """Return a context in which operations keep the dtype of their inputs.

    Similarities, sums of exponentials and norms need float32. The meta
    device, which benchmarks use to count calls, has no autocast: its context
    does nothing.

    Args:
        device: Device of the tensors.

    Example:
        >>> rows = torch.ones(2, 2)
        >>> with torch.autocast('cpu', dtype=torch.bfloat16):
        ...     with autocast_off(rows.device):
        ...         (rows @ rows).dtype
        torch.float32
    """
    if device.type == 'meta':
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
