"""Means of instances, and squared hinges of the distances of pixels to them.

Shapes: B images, D embedding dims, N pixels, n pixels of a piece, K slots for
the instances of an image; slot K takes the pixels of no instance.

The backward pass is written out, because autograd would keep a dozen tensors
of the size of the map. Both passes process the map in pieces that fit into a
cache. They allocate a single tensor of the size of the map: the forward pass
stores half the gradients of the hinges in it, and the backward pass turns
them into the gradient of the map.
"""
import mmap
from contextlib import suppress
from functools import reduce
from math import prod
from typing import Iterator, NamedTuple, Optional

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize, pad, softshrink

from .slot_sums import SlotSums
from .slots import Slots

DISTANCES = ('l2', 'l1', 'cosine')
CHUNK_ELEMENTS = 1 << 19  # number of elements of a piece: 2 MB of float32
# Size in bytes from which on glibc requests new memory pages for every tensor.
# For smaller tensors it reuses pages that were freed before.
FRESH_PAGES = 1 << 25


class Hinges(NamedTuple):
    """Means and summed hinges of instances, from which the loss is computed.

    Attributes:
        means: (B, D, K) mean embeddings, normalised for 'cosine'; 0 for
            unused slots.
        sums: (B, K) sums of the squared hinges of the pixels.
        active: (B,) number of pixels of an image beyond the margin, int64.
    """

    means: Tensor
    sums: Tensor
    active: Tensor


def instance_hinges(embeddings: Tensor, slots: Slots, *, margin: float,
                    distance: str) -> Hinges:
    r"""Compute the mean of each instance and the squared hinges of its pixels.

    The sum of the squared hinges of instance c is
    :math:`\sum_i [d(x_i, \mu_c) - \delta]_+^2`. It can be differentiated only
    once. On a GPU, runs give exactly equal results only with
    `torch.use_deterministic_algorithms(True)`.

    Args:
        embeddings: (B, D, N) embeddings, unit vectors for 'cosine'. Pixels
            without an instance may hold any values, even NaN.
        slots: Slots of the instances, with the index of each pixel.
        margin: delta, the distance to the mean up to which a pixel is not
            penalised.
        distance: 'l2', 'l1', or 'cosine' for 1 - cos, which is half the
            squared 'l2' distance of unit vectors.

    Returns:
        :class:`Hinges` of the batch.
    """
    return Hinges(*_InstanceHinges.apply(
        embeddings, slots.index, slots.areas, margin, distance,
        embeddings.requires_grad and torch.is_grad_enabled()))


class _InstanceHinges(torch.autograd.Function):

    @staticmethod
    def forward(ctx, embeddings, index, sizes, margin, distance,
                differentiate):
        sums = _sums(embeddings, embeddings.shape[1], sizes.shape[1])
        for part in _pieces(embeddings):
            sums.add(index[:, part], embeddings[..., part])
        table = sums.total()
        table[..., :-1].div_(sizes[:, None])
        table[..., -1].zero_()
        ctx.lengths = None
        if distance == 'cosine':
            ctx.lengths = table[..., :-1].norm(dim=1, keepdim=True)
            table = normalize(table, dim=1)
        ctx.slopes = None
        if differentiate:
            ctx.slopes = empty_map(*embeddings.shape, like=embeddings)
        ctx.options = margin, distance
        sums, active = _walk(
            embeddings, index, table, *ctx.options, ctx.slopes)
        squares, pulled = sums[:, 0], sums[:, 1:]
        ctx.save_for_backward(embeddings, index, sizes, table, pulled)
        ctx.mark_non_differentiable(active)
        ctx.set_materialize_grads(False)
        return table[..., :-1], squares[..., :-1], active

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_means, grad_sums, _):
        embeddings, index, sizes, table, pulled = ctx.saved_tensors
        means, pulled = table[..., :-1], pulled[..., :-1]
        if grad_means is None:
            grad_means = torch.zeros_like(means)
        if grad_sums is None:
            grad_sums = torch.zeros_like(sizes)
        # gradient of the means, directly and through the hinges of pixels
        shared = torch.addcmul(
            grad_means, grad_sums[:, None], pulled, value=-2)
        if ctx.lengths is not None:
            along = (shared * means).sum(1, keepdim=True)
            shared = (shared - along * means) / (
                ctx.lengths.clamp(min=torch.finfo(table.dtype).tiny))
        columns = pad(torch.cat(
            [shared / sizes[:, None], grad_sums[:, None]], 1), (0, 1))
        grad, ctx.slopes = ctx.slopes, None
        if grad is None:  # backward runs again on a retained graph
            grad = empty_map(*embeddings.shape, like=embeddings)
            _walk(embeddings, index, table, *ctx.options, grad)
        buffer = _buffer(grad, columns.shape[1])
        for part in _pieces(grad):
            slopes = grad[..., part]
            taken = _take(columns, index[:, part], buffer)
            torch.addcmul(
                taken[:, :-1], slopes, taken[:, -1:], value=2, out=slopes)
        return grad, None, None, None, None, None


def _walk(embeddings: Tensor, index: Tensor, table: Tensor, margin: float,
          distance: str, slopes: Optional[Tensor]) -> tuple:
    """Sum the squared hinges of the pixels of each slot.

    Args:
        embeddings: (B, D, N) embeddings.
        index: (B, N) slot of each pixel in [0, K].
        table: (B, D, K + 1) means of the slots.
        margin: Margin delta of the hinges.
        distance: 'l2', 'l1' or 'cosine'.
        slopes: (B, D, N) tensor into which half the gradients of the squared
            hinges are written; None if no gradient is needed.

    Returns:
        Sums (B, 1 + D, K + 1) of each slot, of the squared hinges in channel
        0 and of the slopes in the others, or (B, 1, K + 1) if `slopes` is
        None; and the number of pixels (B,) beyond the margin.
    """
    dims, dump = table.shape[1], table.shape[2] - 1
    sums = _sums(embeddings, 1 if slopes is None else 1 + dims, dump)
    active = []
    buffer = _buffer(embeddings, dims)
    for part in _pieces(embeddings):
        slots = index[:, part]
        means = _take(table, slots, buffer)
        offset = torch.sub(
            embeddings[..., part], means,
            out=means if slopes is None else slopes[..., part])
        _zero_where_(offset, slots == dump, table[:, :1, dump:])
        length = _length(offset, distance, means)
        hinge = softshrink(length, margin)  # 0 up to the margin
        active.append(hinge.count_nonzero(1))
        values = [hinge.square()[:, None]]
        if slopes is not None:
            _slope_(offset, length, hinge, distance)
            values.append(offset)
        sums.add(slots, *values)
    return sums.total(), reduce(torch.add, active)


def empty_map(*shape: int, like: Tensor) -> Tensor:
    """Return an uninitialised tensor with the dtype and device of another.

    On a CPU, a tensor of 32 MB or more is placed in huge memory pages,
    because the first access to each ordinary page is slow. Torch does the
    same itself if THP_MEM_ALLOC_ENABLE=1 is set. Elsewhere the function is
    `new_empty`.

    Huge pages make the loss with its gradient at 512 x 1024 pixels 9 % faster
    at 16 dims and 11 % faster at 32 dims. This was measured by the step of
    `python -m benchmarks --cases D1` with and without them in turn, as medians
    of 40 rounds on one thread of an Intel Xeon (family 6, model 207), on a
    system that provides huge pages on request (`madvise`).

    Args:
        shape: Shape of the new tensor.
        like: Tensor with the dtype and device of the new one.
    """
    size = prod(shape) * like.element_size()
    if (like.device.type != 'cpu' or size < FRESH_PAGES
            or torch.compiler.is_compiling()
            or not hasattr(mmap, 'MADV_HUGEPAGE')):
        return like.new_empty(shape)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # some kernels have no huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)


def _step(embeddings: Tensor) -> int:
    """Return the number of pixels of a piece."""
    batch, dims, length = embeddings.shape
    if embeddings.device.type != 'cpu':
        return max(1, length)  # one piece needs the fewest calls
    return max(1, min(length, CHUNK_ELEMENTS // max(1, batch * dims)))


def _pieces(embeddings: Tensor) -> Iterator[slice]:
    step = _step(embeddings)
    for start in range(0, max(1, embeddings.shape[2]), step):
        yield slice(start, start + step)


def _sums(embeddings: Tensor, channels: int, num_slots: int) -> SlotSums:
    return SlotSums(embeddings, channels=channels, num_slots=num_slots,
                    step=_step(embeddings))


def _buffer(embeddings: Tensor, channels: int) -> Optional[Tensor]:
    """Return memory for the columns that the pieces take from a table.

    None is returned for a single piece, which needs the memory only once.
    """
    step = _step(embeddings)
    if embeddings.shape[2] <= step:
        return None
    return empty_map(len(embeddings), channels, step, like=embeddings)


def _take(table: Tensor, slots: Tensor, buffer: Optional[Tensor]) -> Tensor:
    """Copy columns of a table (B, D, K + 1) into a tensor (B, D, n)."""
    return torch.gather(
        table, 2, slots[:, None].expand(-1, table.shape[1], -1),
        out=None if buffer is None else buffer[..., :slots.shape[1]])


def _zero_where_(values: Tensor, gone: Tensor, zero: Tensor) -> None:
    """Set values (B, D, n), even NaN, to 0 where the mask `gone` is True.

    Args:
        values: Values to change in place.
        gone: (B, n) bool mask.
        zero: (B, 1, 1) zeros of the dtype of the values.
    """
    torch.where(gone[:, None], zero, values, out=values)


def _length(offset: Tensor, distance: str, buffer: Tensor) -> Tensor:
    """Return the distances (B, n) that offsets (B, D, n) from means give.

    Intermediate results are written to `buffer`, which may be `offset`.
    """
    if distance == 'l1':
        return torch.abs(offset, out=buffer).sum(1)
    if distance == 'l2' and offset.device.type != 'cpu':
        return torch.linalg.vector_norm(offset, dim=1)
    # a norm over the channels is ten times as slow on a CPU
    square = torch.mul(offset, offset, out=buffer).sum(1)
    return square.sqrt_() if distance == 'l2' else square.mul_(.5)


def _slope_(offset: Tensor, length: Tensor, hinge: Tensor,
            distance: str) -> None:
    """Turn offsets into half the gradients of squared hinges, in place.

    Args:
        offset: (B, D, n) differences of pixels and their means.
        length: (B, n) distances of pixels to their means.
        hinge: (B, n) distances minus the margin, at least 0.
        distance: 'l2', 'l1' or 'cosine'.
    """
    factor = hinge
    if distance == 'l1':
        offset.sign_()
    elif distance == 'l2':
        factor = hinge / length.clamp_(min=torch.finfo(length.dtype).tiny)
    offset.mul_(factor[:, None])
