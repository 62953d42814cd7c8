"""Means of instances, and squared hinges of pixels on the distance to them.

Shapes: B images, D embedding dims, N pixels, K slots.

A function with a backward pass of its own, as the plain expression keeps and
passes over a dozen tensors of the size of the map. This one keeps the map
itself, walks it in pieces that fit a cache, and makes what it needs again.
"""
from typing import Iterator, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from .instance_slots import Slots

DISTANCES = ('l2', 'l1', 'cosine')
CHUNK_ELEMENTS = 1 << 18  # of a map: 1 MB
LANES = 8  # sums of a slot that a CPU adds up side by side
INTEGERS = {8: torch.int64, 4: torch.int32}


class Hinges(NamedTuple):
    """What the loss needs of the pixels.

    Attributes:
        means: (B, D, K), of unit length for 'cosine'; 0 for unused slots.
        sums: (B, K) sums of squared hinges.
        active: (B, K) pixels beyond the margin, without gradient.
    """

    means: Tensor
    sums: Tensor
    active: Tensor


def instance_hinges(embeddings: Tensor, slots: Slots, *, margin: float,
                    distance: str) -> Hinges:
    r"""Return :math:`\mu_c` and :math:`\sum_i [d(x_i, \mu_c) - \delta]_+^2`.

    Differentiable once. Exact repeats on a GPU need
    `torch.use_deterministic_algorithms(True)`.

    Args:
        embeddings: (B, D, N); of unit length for 'cosine'. Those of pixels
            without instance may be anything, NaN too.
        slots: Of the N pixels.
        margin: delta.
        distance: 'l2', 'l1', or 'cosine': 1 - cos, half the square of l2.
    """
    return Hinges(*_InstanceHinges.apply(
        embeddings, slots.index, slots.areas, slots.valid, margin, distance))


class _InstanceHinges(torch.autograd.Function):

    @staticmethod
    def forward(ctx, embeddings, index, areas, valid, margin, distance):
        table = embeddings.new_zeros(*embeddings.shape[:2],
                                     areas.shape[1] + 1)
        for part in _pieces(embeddings):
            _add_by_slot(table, index[:, part], embeddings[..., part])
        unused = _with_dump(~valid, True)[:, None]
        table.div_(_with_dump(areas, 1)[:, None].clamp(min=1))
        table.masked_fill_(unused, 0.)
        ctx.lengths = None
        if distance == 'cosine':
            ctx.lengths = table.norm(dim=1, keepdim=True)
            table = normalize(table, dim=1)
        total = table.new_zeros(len(table), 2, table.shape[2])
        # of every slot the sum of the slopes of its pixels
        pulled = torch.zeros_like(table)
        factors = embeddings.new_empty(index.shape)
        for part in _pieces(embeddings):
            slots = index[:, part]
            offset = _offset(embeddings[..., part], table, slots)
            length = _length(offset, distance)
            hinge = (length - margin).clamp_(min=0)
            factors[:, part] = _slope_(offset, length, hinge, distance)
            _add_by_slot(pulled, slots, offset)
            both = torch.stack([hinge.square(), hinge.sign()], 1)
            _add_by_slot(total, slots, both)
        ctx.save_for_backward(embeddings, index, areas, table, pulled,
                              factors)
        ctx.distance = distance
        sums, active = total[..., :-1].unbind(1)
        ctx.mark_non_differentiable(active)
        return table[..., :-1], sums, active

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_means, grad_sums, _):
        embeddings, index, areas, table, pulled, factors = ctx.saved_tensors
        weight = _with_dump(grad_sums, 0)[:, None]
        shared = _with_dump(grad_means, 0) - weight * pulled
        if ctx.lengths is not None:
            along = (shared * table).sum(1, keepdim=True)
            shared = (shared - along * table) / (
                ctx.lengths.clamp(min=torch.finfo(table.dtype).tiny))
        shared /= _with_dump(areas, 1)[:, None].clamp(min=1)
        shared[..., -1] = 0
        grad = torch.empty_like(embeddings)
        for part in _pieces(embeddings):
            slots = index[:, part]
            slope = _offset(embeddings[..., part], table, slots)
            if ctx.distance == 'l1':
                slope.sign_()
            slope.mul_(factors[:, None, part])
            slope.mul_(weight.gather(2, slots[:, None]))
            torch.add(slope, _take(shared, slots), out=grad[..., part])
        return grad, None, None, None, None, None


def _with_dump(table: Tensor, value: float) -> Tensor:
    """Append the slot of the pixels that belong to none to (..., K)."""
    return torch.cat([table, torch.full_like(table[..., :1], value)], -1)


def _pieces(embeddings: Tensor) -> Iterator[slice]:
    batch, dims, length = embeddings.shape
    step = length
    if not embeddings.is_cuda:  # where one piece costs the fewest launches
        step = max(1, CHUNK_ELEMENTS // max(1, batch * dims))
    for start in range(0, length, step):
        yield slice(start, start + step)


def _add_by_slot(table: Tensor, slots: Tensor, values: Tensor) -> None:
    """Add values (B, D, n) into a table (B, D, K + 1).

    Channels first, as maps lie in memory: sums over rows cost a CPU three
    times as much.
    """
    if values.is_cuda and torch.are_deterministic_algorithms_enabled():
        numbers = torch.arange(table.shape[2] - 1, device=slots.device)
        one_hot = (slots[..., None] == numbers).to(values.dtype)
        table[..., :-1] += torch.bmm(
            _zero_where_(values.clone(), slots > numbers[-1]), one_hot)
    elif values.is_cuda or LANES * table.shape[2] > values.shape[2]:
        table.scatter_add_(2, _every_channel(slots, values), values)
    else:
        # neighbours belong to one instance: added to one number, each waits
        # for the one before, which takes five times as long
        count = table.shape[2]
        lane = torch.arange(0, LANES * count, count)
        lane = lane.repeat(values.shape[2] // LANES + 1)[:values.shape[2]]
        parts = table.new_zeros(*table.shape[:2], LANES * count)
        parts.scatter_add_(2, _every_channel(slots + lane, values), values)
        table += parts.unflatten(2, (LANES, count)).sum(2)


def _every_channel(slots: Tensor, values: Tensor) -> Tensor:
    return slots[:, None].expand(-1, values.shape[1], -1)


def _take(table: Tensor, slots: Tensor) -> Tensor:
    """Return the columns (B, D, n) of a table (B, D, K + 1)."""
    return table.gather(2, _every_channel(slots, table))


def _offset(values: Tensor, table: Tensor, slots: Tensor) -> Tensor:
    """Return x_i - mu_c (B, D, n), 0 where a pixel has no instance."""
    offset = values - _take(table, slots)
    return _zero_where_(offset, slots == table.shape[2] - 1)


def _zero_where_(values: Tensor, gone: Tensor) -> Tensor:
    """Set values (B, D, n) to 0 where (B, n), NaN too.

    By the bits: masked_fill costs a CPU five times as much.
    """
    whole = values.view(INTEGERS[values.element_size()])
    whole.bitwise_and_((gone[:, None].to(whole.dtype) - 1))
    return values


def _length(offset: Tensor, distance: str) -> Tensor:
    """Return distances (B, n)."""
    if distance == 'l1':
        return offset.abs().sum(1)
    # the norm over strided channels takes ten times as long on a CPU
    square = offset.square().sum(1)
    return square.sqrt_() if distance == 'l2' else square.mul_(.5)


def _slope_(offset: Tensor, length: Tensor, hinge: Tensor,
            distance: str) -> Tensor:
    """Turn offsets (B, D, n) into gradients of the squared hinges.

    Returns:
        What they were multiplied by (B, n).
    """
    factor = 2 * hinge
    if distance == 'l1':
        offset.sign_()
    elif distance == 'l2':
        factor.div_(length.clamp_(min=torch.finfo(length.dtype).tiny))
    offset.mul_(factor[:, None])
    return factor
