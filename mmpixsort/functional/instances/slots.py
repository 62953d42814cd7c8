"""Which pixel belongs to which instance, of a whole batch at once.

Shapes: B images, N pixels of an image, K slots for the instances of an image.
Slot K takes the pixels that belong to none; nothing is read from it.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmpixsort.functional.checks import check_choice, check_count

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
        num_ids: Ids lie in [0, num_ids), and so K is known, and its square
            is what pairs cost: number the instances of every image from 1.
            None: any ids, unique over the batch or not, which are numbered
            image by image (and so the host waits for the device).
        min_pixels: Smaller instances take no part.
        dtype: Data type of the areas.

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
        ids, num_ids = _number_by_image(ids.masked_fill(unused, -1))
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


def _number_by_image(ids: Tensor) -> Tuple[Tensor, int]:
    """Number the ids (B, N) of every image from 0, by their size.

    Returns:
        Numbers (B, N), -1 where an id is negative, and how many the image
        with most of them has, 1 at least.

    Example:
        >>> _number_by_image(torch.tensor([[7, -1, 3, 7], [9, 9, 9, 9]]))
        (tensor([[ 1, -1,  0,  1],
                [ 0,  0,  0,  0]]), 2)
    """
    ordered, places = ids.sort(1)
    before = F.pad(ordered, (1, 0), value=-1)[:, :-1]
    ranks = (ordered != before).cumsum(1) - 1
    numbers = torch.empty_like(ids).scatter_(1, places, ranks)
    last = int(ranks.amax()) if ranks.numel() else 0
    return numbers, max(0, last) + 1
