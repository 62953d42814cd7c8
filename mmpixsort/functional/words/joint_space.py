"""What the losses of images and texts share: scale and precision."""
from functools import reduce
from typing import List, Union

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_positive


def check_scale(scale: Union[float, Tensor]) -> None:
    """Raise unless `scale` is a number above zero or a scalar tensor."""
    if not isinstance(scale, Tensor):
        check_positive('scale', scale)
    elif scale.dim() or not scale.is_floating_point():
        raise ValueError(
            '`scale` must be a number or a floating tensor of no dims, got '
            f'{scale.dtype} of shape {tuple(scale.shape)}; use `.squeeze()`')


def full_precision(*rows: Tensor) -> List[Tensor]:
    """Return all in float32, or in float64 if one of them is."""
    dtype = reduce(torch.promote_types, [row.dtype for row in rows],
                   torch.float32)
    return [row.to(dtype) for row in rows]
