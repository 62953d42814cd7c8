"""Checks of arguments: errors name the argument, its rule and its value.

No check reads a value from a tensor, so none of them synchronises a device.
"""
from typing import Optional, Sequence

import torch
from torch import Tensor


def check_positive(name: str, value: float) -> None:
    """Raise unless `value` is a number above zero.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` is zero or negative.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f'`{name}` must be a number, got '
                        f'{type(value).__name__}')
    if not value > 0:
        raise ValueError(f'`{name}` must be positive, got {value}')


def check_non_negative(name: str, value: float) -> None:
    """Raise unless `value` is a number that is not negative.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` is negative.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f'`{name}` must be a number, got '
                        f'{type(value).__name__}')
    if not value >= 0:
        raise ValueError(f'`{name}` must not be negative, got {value}')


def check_fraction(name: str, value: float) -> None:
    """Raise unless `value` is a number in (0, 1].

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` lies outside (0, 1].
    """
    check_positive(name, value)
    if value > 1:
        raise ValueError(f'`{name}` must be at most 1, got {value}')


def check_count(name: str, value: int, minimum: int = 1) -> None:
    """Raise unless `value` is an integer of at least `minimum`.

    Raises:
        TypeError: If `value` is not an integer.
        ValueError: If `value` is below `minimum`.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f'`{name}` must be an integer, got '
                        f'{type(value).__name__} {value!r}')
    if value < minimum:
        raise ValueError(f'`{name}` must be at least {minimum}, got {value}')


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f'`{name}` must be one of {", ".join(choices)}, '
                         f'got {value!r}')


def check_rows(name: str, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Check rows (N, D) with their labels (N,) and return labels as int64.

    Raises:
        TypeError: If `labels` are not integers.
        ValueError: If `embeddings` is not a floating tensor of shape (N, D)
            or `labels` does not have the shape (N,).
    """
    if embeddings.dim() != 2 or not embeddings.is_floating_point():
        raise ValueError(
            f'`{name}` must be a floating tensor of shape (N, D), got '
            f'{embeddings.dtype} of shape {tuple(embeddings.shape)}; a map '
            '(B, D, H, W) becomes rows by `.permute(0, 2, 3, 1)'
            '.flatten(0, 2)`')
    return check_labels(f'{name} labels', labels, embeddings.shape[:1])


def check_labels(name: str, labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Check an integer tensor and return it as int64, a bool one unchanged.

    The code behind a check may then rely on int64: uint8 cannot hold -1,
    int8 cannot hold 255, and torch neither compares nor scatters uint16.

    Raises:
        TypeError: If `labels` are not integers.
        ValueError: If `labels` does not have the given shape.
    """
    if labels.is_floating_point() or labels.dtype.is_complex:
        raise TypeError(f'`{name}` must be integers, got {labels.dtype}; '
                        'convert with `.long()`')
    if tuple(labels.shape) != tuple(shape):
        raise ValueError(f'`{name}` must have shape {tuple(shape)}, got '
                         f'{tuple(labels.shape)}')
    return labels if labels.dtype == torch.bool else labels.long()


def check_mask(name: str, mask: Tensor, shape: Sequence[int]) -> None:
    """Raise unless `mask` is a bool tensor of the given shape.

    A mask of integers is refused because `~` would turn 1 into -2.

    Raises:
        TypeError: If `mask` is not bool.
        ValueError: If `mask` does not have the given shape.
    """
    if mask.dtype != torch.bool:
        raise TypeError(f'`{name}` must be bool, got {mask.dtype}; convert '
                        'with `.bool()`')
    check_labels(name, mask, shape)


def check_points(embeddings: Tensor, seeds: Optional[Tensor]) -> None:
    """Raise unless points and the seeds of a mean shift fit together.

    Raises:
        ValueError: If `embeddings` is not a floating tensor of shape (N, D),
            or `seeds` is neither None nor of shape (M, D).
    """
    if embeddings.dim() != 2 or not embeddings.is_floating_point():
        raise ValueError(
            '`embeddings` must be a floating tensor of shape (N, D), got '
            f'{embeddings.dtype} of shape {tuple(embeddings.shape)}; pixels '
            'of a map (D, H, W) become rows by `.flatten(1).T`')
    if seeds is not None and (seeds.dim() != 2
                              or seeds.shape[1] != embeddings.shape[1]):
        raise ValueError(
            f'`seeds` must have shape (M, {embeddings.shape[1]}), got '
            f'{tuple(seeds.shape)}')
