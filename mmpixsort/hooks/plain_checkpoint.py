"""Reduce checkpoints to plain types, which load without this package.

mmengine stores logs as HistoryBuffer objects and scores as NumPy scalars.
`torch.load` refuses both unless the program that reads the file has declared
them safe, which the inferencers of the hosts do not do.
"""
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def make_plain(checkpoint: dict) -> None:
    """Replace the objects that mmengine adds to a checkpoint, in place.

    All numbers keep their exact values. A run that resumes without this
    package warns that each log is skipped, and starts empty logs.
    """
    hub = checkpoint.get('message_hub')
    if hub is not None:
        hub['log_scalars'] = {
            name: pack(value) if isinstance(value, HistoryBuffer) else value
            for name, value in hub['log_scalars'].items()}
        hub['runtime_info'] = without_numpy(hub['runtime_info'])
    if 'meta' in checkpoint:
        checkpoint['meta'] = without_numpy(checkpoint['meta'])


def restore_plain(checkpoint: dict) -> None:
    """Restore the logs that :func:`make_plain` replaced, in place."""
    hub = checkpoint.get('message_hub')
    if hub is not None:
        hub['log_scalars'] = {
            name: unpack(value) if isinstance(value, dict) else value
            for name, value in hub['log_scalars'].items()}


def pack(buffer: HistoryBuffer) -> dict:
    """Return the content of a log as two tensors (N,) and an integer."""
    values, counts = buffer.data
    return dict(
        values=torch.from_numpy(values.copy()),
        counts=torch.from_numpy(counts.copy()),
        max_length=buffer.max_length)


def unpack(content: dict) -> HistoryBuffer:
    """Return a log from its content, the inverse of :func:`pack`."""
    return HistoryBuffer(
        content['values'].cpu().numpy(), content['counts'].cpu().numpy(),
        content['max_length'])


def without_numpy(value: Any) -> Any:
    """Replace NumPy scalars and arrays by numbers and lists.

    Example:
        >>> without_numpy(dict(best=np.float64(.5), sizes=(np.arange(2), )))
        {'best': 0.5, 'sizes': ([0, 1],)}
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(without_numpy(part) for part in value)
    if isinstance(value, dict):
        return {key: without_numpy(part) for key, part in value.items()}
    return value
