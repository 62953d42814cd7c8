"""Sum the pixels of each slot of a map that is processed in pieces.

Shapes: B images, D channels, n pixels of a piece, K slots for the instances
of an image; slot K takes the pixels of no instance.
"""
from typing import Sequence

import torch
from torch import Tensor

LANES = 8


class SlotSums:
    """Accumulate sums (B, D, K + 1) of the pixels of each slot.

    The channels come first, as in the memory of a map; channels last would be
    three times as slow on a CPU. Neighbouring pixels mostly belong to one
    instance, and a CPU that adds all of them to one number waits for each
    addition, which takes twice as long. On a CPU each slot therefore has
    eight partial sums, to which the pixels are added in turn.

    Args:
        maps: (B, ...) tensor with the dtype and device of the sums.
        channels: Number of channels D.
        num_slots: Number of slots K.
        step: Number of pixels of the largest piece.
    """

    def __init__(self, maps: Tensor, *, channels: int, num_slots: int,
                 step: int) -> None:
        self.count = num_slots + 1
        self.lanes = None
        size = self.count
        if maps.device.type == 'cpu' and LANES * size <= step:
            size *= LANES
            starts = torch.arange(0, size, self.count)
            self.lanes = starts.repeat(step // LANES + 1)[:step]
        self.parts = maps.new_zeros(len(maps), channels, size)

    def add(self, slots: Tensor, *values: Tensor) -> None:
        """Add the values of pixels to their slots (B, n).

        Args:
            slots: (B, n) int64 slot of each pixel in [0, K].
            values: Tensors (B, d, n) that hold the D channels in order.
        """
        if slots.is_cuda and torch.are_deterministic_algorithms_enabled():
            return self.add_products(slots, *values)
        if self.lanes is not None:
            slots = slots + self.lanes[:slots.shape[1]]
        for sums, part in zip(self._split(values), values):
            sums.scatter_add_(2, slots[:, None].expand_as(part), part)

    def add_products(self, slots: Tensor, *values: Tensor) -> None:
        """Add values like :meth:`add`, by products with one-hot rows.

        On a GPU a product gives the same bits in every run, while scattered
        additions do not. The sums of slot K stay zero.
        """
        numbers = torch.arange(self.count - 1, device=slots.device)
        one_hot = (slots[..., None] == numbers).to(self.parts.dtype)
        gone = slots > numbers[-1]
        for sums, part in zip(self._split(values), values):
            sums[..., :-1] += torch.bmm(
                part.masked_fill(gone[:, None], 0.), one_hot)

    def _split(self, values: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the sums of the channels of each tensor of values."""
        return self.parts.split([part.shape[1] for part in values], 1)

    def total(self) -> Tensor:
        """Return the sums (B, D, K + 1)."""
        if self.lanes is None:
            return self.parts
        return self.parts.unflatten(2, (LANES, self.count)).sum(2)
