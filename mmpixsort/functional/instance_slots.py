"""Which pixel belongs to which instance, of a whole batch at once.

Shapes: B images, N pixels of an image, K slots for the instances of an image.
Slot K takes the pixels that belong to none; nothing is read from it.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .checks import check_choice, check_count

BACKGROUNDS = ('ignore', 'instance')


class Slots(NamedTuple):
    """Which pixel belongs to which instance.

    Attributes:
        index: (B, N) int64 in [0, K]; K: none. None: masks were given.
        areas: (B, K) pixels, in the precision of the loss.
        valid: (B, K) bool, slots of an instance.
    """

    index: Optional[Tensor]
    areas: Tensor
    valid: Tensor


def instance_slots(instance_ids: Tensor,
                   *,
                   background: str = 'ignore',
                   ignore_index: int = -1,
                   num_ids: Optional[int] = None,
                   min_pixels: int = 1,
                   dtype: torch.dtype = torch.float32) -> Slots:
    """Give every instance of every image a slot.

    Args:
        instance_ids: (B, *spatial) integer; negative takes no part.
        background: What id 0 is: 'ignore', or an 'instance' as any other.
        ignore_index: Id that takes no part.
        num_ids: Ids lie in [0, num_ids), and so K is known; None: any ids,
            which are numbered first (and so the host waits for the device).
        min_pixels: Smaller instances take no part.
        dtype: Of the areas.

    Raises:
        ValueError: On options out of range.
    """
    check_choice('background', background, BACKGROUNDS)
    check_count('min_pixels', min_pixels)
    ids = instance_ids.flatten(1).long()
    unused = ids < 0
    if ignore_index >= 0:
        unused = unused | (ids == ignore_index)
    if background == 'ignore':
        unused = unused | (ids == 0)
    if num_ids is None:
        numbers, ids = ids.unique(return_inverse=True)
        num_ids = len(numbers)
    else:
        check_count('num_ids', num_ids)
        unused = unused | (ids >= num_ids)
    index = ids.masked_fill(unused, num_ids)
    areas = torch.zeros(
        len(ids), num_ids + 1, dtype=dtype, device=ids.device)
    areas = areas.scatter_add_(
        1, index, areas.new_ones(()).expand_as(index))[:, :-1]
    valid = areas >= min_pixels
    if min_pixels > 1:
        kept = torch.cat([valid, torch.zeros_like(valid[:, :1])], 1)
        index = index.masked_fill(~kept.gather(1, index), num_ids)
    return Slots(index, areas, valid)
