"""Checkpoints of plain types, which load where this package is not.

mmengine keeps the log as HistoryBuffer objects, scores as scalars of NumPy.
`torch.load` refuses both, unless a program that reads the file has declared
them safe before; the inferencers of the hosts do not.
"""
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def make_plain(checkpoint: dict) -> None:
    """Replace what mmengine adds to a checkpoint by plain types, in place.

    Numbers stay what they are, to the last bit. A run that resumes without
    this package says of each log that it is skipped, and starts it anew.
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
    """Take back what :func:`make_plain` did to the log, in place."""
    hub = checkpoint.get('message_hub')
    if hub is not None:
        hub['log_scalars'] = {
            name: unpack(value) if isinstance(value, dict) else value
            for name, value in hub['log_scalars'].items()}


def pack(buffer: HistoryBuffer) -> dict:
    """Return the content of a log as tensors (N,) and a number."""
    values, counts = buffer.data
    return dict(
        values=torch.from_numpy(values.copy()),
        counts=torch.from_numpy(counts.copy()),
        max_length=buffer.max_length)


def unpack(content: dict) -> HistoryBuffer:
    """Return the log that :func:`pack` took apart."""
    return HistoryBuffer(
        content['values'].cpu().numpy(), content['counts'].cpu().numpy(),
        content['max_length'])


def without_numpy(value: Any) -> Any:
    """Replace scalars and arrays of NumPy by numbers and lists.

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
