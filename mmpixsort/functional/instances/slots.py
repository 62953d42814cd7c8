"""Assign the pixels of a batch to slots, one slot per instance.

Shapes: B images, N pixels of an image, K slots for the instances of an image.
Slot K takes the pixels of no instance and is not used further.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmpixsort.functional.checks import check_choice, check_count

BACKGROUNDS = ('ignore', 'instance')


class Slots(NamedTuple):
    """Slots of the instances of each image.

    Attributes:
        index: (B, N) int64 slot of each pixel in [0, K], where K means no
            instance. None if instances are given as masks.
        areas: (B, K) areas in pixels, in the dtype of the loss; 1 for an
            empty slot, because areas are divisors.
        valid: (B, K) bool, True for slots that hold an instance.
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
    """Assign a slot to every instance of every image.

    Args:
        instance_ids: (B, *spatial) integer instance of each pixel; pixels
            with a negative id are ignored.
        background: Meaning of id 0: 'ignore' ignores its pixels, 'instance'
            treats it like any other instance.
        ignore_index: Id whose pixels are ignored.
        num_ids: Number of slots K; pixels with an id of K or more are
            ignored. The loss compares K^2 pairs of slots, so number the
            instances of every image from 1. None accepts any ids and numbers
            them image by image, but makes the CPU wait for the device.
        min_pixels: Minimum area of an instance in pixels; smaller ones are
            ignored.
        dtype: Data type of the areas.

    Returns:
        :class:`Slots` of the batch.

    Raises:
        ValueError: If an option is out of range.
    """
    check_choice('background', background, BACKGROUNDS)
    check_count('min_pixels', min_pixels)
    ids = instance_ids.flatten(1).long()
    first = 1 if background == 'ignore' else 0
    unused = ids < first
    if ignore_index >= first:
        unused = unused | (ids == ignore_index)
    if num_ids is None:
        ids, num_ids = _number_by_image(ids.masked_fill(unused, -1))
    check_count('num_ids', num_ids)
    index = ids.masked_fill(unused, num_ids).clamp_(max=num_ids)
    areas = torch.zeros(
        len(ids), num_ids + 1, dtype=dtype, device=ids.device)
    areas = areas.scatter_add_(
        1, index, areas.new_ones(()).expand_as(index))[:, :-1]
    valid = areas >= min_pixels
    if min_pixels > 1:
        kept = torch.cat([valid, torch.zeros_like(valid[:, :1])], 1)
        index = index.masked_fill(~kept.gather(1, index), num_ids)
    return Slots(index, areas.clamp_(min=1), valid)


def _number_by_image(ids: Tensor) -> Tuple[Tensor, int]:
    """Number the ids (B, N) of every image 0, 1, ... in increasing order.

    Returns:
        Numbers (B, N), -1 for ids of -1; and the largest number of ids of an
        image, at least 1.

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
