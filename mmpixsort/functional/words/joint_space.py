"""Checks and conversions that all losses between images and texts use."""
from functools import reduce
from typing import List, Union

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_positive


def check_scale(scale: Union[float, Tensor]) -> None:
    """Raise unless `scale` is a number above zero or a scalar tensor.

    The value of a tensor is not checked, because that would wait for the
    device.
    """
    if not isinstance(scale, Tensor):
        check_positive('scale', scale)
    elif scale.dim() or not scale.is_floating_point():
        raise ValueError(
            '`scale` must be a number or a floating scalar tensor, got '
            f'{scale.dtype} of shape {tuple(scale.shape)}; use `.squeeze()`')


def full_precision(*rows: Tensor) -> List[Tensor]:
    """Convert all tensors to float32, or to float64 if one of them has it."""
    dtype = reduce(torch.promote_types, [row.dtype for row in rows],
                   torch.float32)
    return [row.to(dtype) for row in rows]
