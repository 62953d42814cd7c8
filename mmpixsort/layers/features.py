"""Features of a host model: levels of the backbone, and inputs of a module."""
import threading
from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def select_feature(inputs: Union[Tensor, Sequence[Tensor]],
                   in_index: Union[int, Sequence[int]],
                   in_channels: int,
                   name: str = 'in_index') -> Tensor:
    """Return one level of a feature pyramid, or several concatenated levels.

    Several levels are resized to the size of the first one.

    Args:
        inputs: Levels (B, C, h, w) of a backbone or neck, or one map.
        in_index: Index of the level, or indices of the levels.
        in_channels: Number of channels that the result must have.
        name: Name of the option that gave `in_index`, for error messages.

    Raises:
        ValueError: If a level does not exist or is not a feature map, or the
            number of channels differs.
    """
    levels = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    indices = [in_index] if isinstance(in_index, int) else list(in_index)
    if not indices or not all(isinstance(i, int) for i in indices):
        raise ValueError(f'`{name}` must be one or several integers, got '
                         f'{in_index!r}')
    for index in indices:
        if not -len(levels) <= index < len(levels):
            raise ValueError(f'`{name}` must lie in [0, {len(levels)}), '
                             f'the levels of the backbone, got {index}')
    chosen = [levels[index] for index in indices]
    for index, level in zip(indices, chosen):
        if not isinstance(level, Tensor) or level.dim() != 4:
            raise ValueError(f'`{name}` {index} must name a feature map '
                             f'(B, C, h, w), got {_describe(level)}')
    size = chosen[0].shape[2:]
    feature = chosen[0] if len(chosen) == 1 else torch.cat([
        interpolate(
            level, size=size, mode='bilinear', align_corners=False)
        for level in chosen
    ], 1)
    if feature.shape[1] != in_channels:
        raise ValueError(
            f'`in_channels` must be {feature.shape[1]}, the channels of '
            f'`{name}` {in_index}, got {in_channels}')
    return feature


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f'a tensor of shape {tuple(value.shape)}'
    return type(value).__name__


@contextmanager
def tap(module: Optional[nn.Module],
        detach: bool = False) -> Iterator[List[Tuple]]:
    """Collect the first input and the output of every call of a module.

    The hooks are removed at the end of the `with` block. If they stayed, a
    deep copy of the model, such as an EMA model, would write into the list
    of the original, and the model could not be pickled. Calls in other
    threads are not collected, so that one model can predict in several
    threads at once.

    Args:
        module: Module whose calls are collected; None collects nothing.
        detach: Whether the module gets its first input detached. The input
            that is collected is never detached.

    Yields:
        List of pairs (first input, output), which grows with every call.
    """
    calls = []
    if module is None:
        yield calls
        return

    entered = []  # inputs of calls that have not returned, or have raised
    owner = threading.get_ident()

    def before(_, inputs):
        if threading.get_ident() != owner:
            return None
        first = inputs[0] if inputs else None
        entered.append(first)
        if detach and first is not None:
            return (first.detach(), *inputs[1:])
        return None

    def after(_, inputs, output):
        if threading.get_ident() == owner:
            calls.append((entered.pop(), output))

    handles = (module.register_forward_pre_hook(before),
               module.register_forward_hook(after))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
