"""Sum the pixels of each slot of a map that is processed in pieces.

Shapes: B images, D channels, n pixels of a piece, K slots for the instances
of an image; slot K takes the pixels of no instance.
"""
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

    def add(self, slots: Tensor, values: Tensor) -> None:
        """Add the values (B, D, n) of pixels to their slots (B, n)."""
        if values.is_cuda and torch.are_deterministic_algorithms_enabled():
            return self.add_products(slots, values)
        if self.lanes is not None:
            slots = slots + self.lanes[:slots.shape[1]]
        slots = slots[:, None].expand(-1, values.shape[1], -1)
        self.parts.scatter_add_(2, slots, values)

    def add_products(self, slots: Tensor, values: Tensor) -> None:
        """Add values like :meth:`add`, by a product with one-hot rows.

        On a GPU a product gives the same bits in every run, while scattered
        additions do not. The sums of slot K stay zero.
        """
        numbers = torch.arange(self.count - 1, device=slots.device)
        one_hot = (slots[..., None] == numbers).to(values.dtype)
        gone = slots > numbers[-1]
        self.parts[..., :-1] += torch.bmm(
            values.masked_fill(gone[:, None], 0.), one_hot)

    def total(self) -> Tensor:
        """Return the sums (B, D, K + 1)."""
        if self.lanes is None:
            return self.parts
        return self.parts.unflatten(2, (LANES, self.count)).sum(2)
