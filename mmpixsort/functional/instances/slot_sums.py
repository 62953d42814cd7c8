"""Sums over the pixels of each slot, for maps that are processed in pieces.

Shapes: B images, D channels, n pixels of a piece, K slots; slot K takes the
pixels of no instance.
"""
import torch
from torch import Tensor

LANES = 8


class SlotSums:
    """Accumulate sums (B, D, K + 1) of the pixels of each slot.

    The sums have the channels first, as maps do in memory: sums over rows
    would take a CPU three times as long. Neighbouring pixels mostly belong
    to one instance. If a CPU added them to one number, each addition would
    wait for the one before, which takes twice as long. On a CPU each slot
    therefore has eight partial sums that take the pixels in turn.

    Args:
        maps: (B, ...) tensor whose dtype and device the sums take.
        channels: D.
        num_slots: K.
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
            return self._add_products(slots, values)
        if self.lanes is not None:
            slots = slots + self.lanes[:slots.shape[1]]
        slots = slots[:, None].expand(-1, values.shape[1], -1)
        self.parts.scatter_add_(2, slots, values)

    def _add_products(self, slots: Tensor, values: Tensor) -> None:
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
