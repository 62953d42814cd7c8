"""Sums over the pixels of every slot, of maps that come in pieces.

Shapes: B images, D channels, n pixels of a piece, K slots; slot K takes the
pixels that belong to none.
"""
import torch
from torch import Tensor

LANES = 8


class SlotSums:
    """Sums (B, D, K + 1), piece after piece.

    Channels first, as maps lie in memory: sums over rows cost a CPU three
    times as much. Neighbours belong to one instance; on a CPU, added to one
    number, each would wait for the one before, which takes twice as long in
    all, so that there each slot has eight numbers, for pixels in turn.

    Args:
        maps: (B, ...), whose type and device the sums have.
        channels: D.
        num_slots: K.
        step: Pixels of the largest piece.
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
        """Add values (B, D, n) to slots (B, n)."""
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
