"""Copies from the host to a device for which the host does not wait."""
from typing import List, Sequence, Union

import torch
from torch import Tensor

Device = Union[torch.device, str]


def send(values: Tensor, device: Device) -> Tensor:
    """Copy a tensor of the host to a device.

    The host does not wait for a CUDA device: the copy is queued, from pinned
    memory, which PyTorch keeps until it is done.

    Args:
        values: Tensor on the CPU.
        device: Device of the result.
    """
    if torch.device(device).type != 'cuda':
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def send_integers(parts: Sequence[Sequence[int]],
                  device: Device) -> List[Tensor]:
    """Copy lists of integers to a device in a single transfer.

    Args:
        parts: Lists of integers of any lengths.
        device: Device of the results.

    Returns:
        An int64 tensor (N,) for each list of N integers.

    Example:
        >>> send_integers([[3, 4], [], [5]], 'cpu')
        [tensor([3, 4]), tensor([], dtype=torch.int64), tensor([5])]
    """
    joint = torch.tensor(
        [number for part in parts for number in part], dtype=torch.int64)
    return list(send(joint, device).split([len(part) for part in parts]))
