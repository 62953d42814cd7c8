"""Rows of all ranks, in the order of ranks."""
from typing import List, Tuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from mmpixsort.functional.reduction import masked_mean

from .ranks import all_gather, all_reduce, get_rank, get_world_size


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, with gradient.

    What every rank derives from the rows of rank r comes back to them: the
    sum over ranks of the gradients, as in one process with all rows. DDP
    then averages over ranks, so the mean of the losses of the ranks is what
    is descended. All ranks must run the backward pass if any does.

    Args:
        rows: (N, ...), N equal on all ranks: see :func:`gather_labeled`.

    Returns:
        (R * N, ...), for R ranks; `rows` itself for one.
    """
    if get_world_size() == 1:
        return rows
    return _GatherRows.apply(rows)


def gather_labeled(embeddings: Tensor,
                   labels: Tensor) -> Tuple[Tensor, Tensor]:
    """Concatenate the labeled rows of ranks that bring any number of them.

    As :func:`gather_rows`, after padding to the longest with rows of label
    -1. Waits for the device once, with more than one rank.

    Args:
        embeddings: (N, D), N of this rank.
        labels: (N,) integer.

    Returns:
        (R * M, D) and (R * M,), M the largest N of the R ranks; the
        arguments themselves for one rank.
    """
    if get_world_size() == 1:
        return embeddings, labels
    most, = largest_sizes(len(labels))
    return (gather_rows(pad_to(embeddings, most)),
            gather_rows(pad_to(labels, most, fill=-1)))


def largest_sizes(*sizes: int) -> List[int]:
    """Return the maximum over ranks of each size, to pad to.

    Waits for the device once, with more than one rank.

    Args:
        sizes: As many on all ranks.
    """
    if get_world_size() == 1:
        return list(sizes)
    values = torch.tensor(sizes)
    all_reduce(values, 'max')
    return values.tolist()


def pad_to(values: Tensor, *sizes: int, fill: float = 0) -> Tensor:
    """Append `fill` to the first dims, until they have these sizes.

    Args:
        values: Tensor with as many dims as there are `sizes`, or more, none
            larger than its size.
        sizes: Sizes of the first dims.
        fill: What is appended.

    Example:
        >>> pad_to(torch.ones(1, 2), 1, 3, fill=-1.)
        tensor([[ 1.,  1., -1.]])
    """
    missing = [
        size - length for size, length in zip(sizes, values.shape)
    ] + [0] * (values.dim() - len(sizes))
    widths = [width for count in reversed(missing) for width in (0, count)]
    return pad(values, widths, value=fill)


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the sum over ranks, without gradient.

    Args:
        values: (...), of one shape on all ranks.
    """
    total = values.detach().clone()
    all_reduce(total, 'sum')
    return total


def mean_over_ranks(values: Tensor, valid: Tensor) -> Tensor:
    """Average over the valid rows of all ranks, zero when there is none.

    Each rank returns its share of the sum times the number of ranks. DDP
    averages gradients over ranks, so every valid row counts alike, on
    whichever rank it lies. All ranks must call it if any does.

    Args:
        values: (N, ...), zero where invalid; N may differ between ranks.
        valid: (N,) bool.

    Returns:
        (...) with a gradient for `values` of this rank. The mean of the
        results of all ranks is the mean over the valid rows of all ranks.
    """
    if get_world_size() == 1:
        return masked_mean(values, valid)
    count = sum_over_ranks(valid.sum()).clamp(min=1)
    return values.sum(0) * (get_world_size() / count)


def share_over_ranks(total: Tensor, weight: Tensor) -> Tensor:
    """Divide a sum by the weight of all ranks, zero when there is none.

    As :func:`mean_over_ranks`, for a sum that has been made already. All
    ranks must call it if any does.

    Args:
        total: () weighted sum over the rows of this rank.
        weight: () sum of the weights of the rows of this rank, 0 or more.

    Returns:
        () with a gradient for `total`. The mean of the results of all ranks
        is the weighted mean over the rows of all ranks.
    """
    ranks = get_world_size()
    if ranks > 1:
        total, weight = total * ranks, sum_over_ranks(weight)
    # without rows there is nothing to divide by, and nothing to divide
    return total / weight.clamp(min=torch.finfo(total.dtype).tiny)


class _GatherRows(torch.autograd.Function):

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        return torch.cat(all_gather(rows.contiguous()))

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.contiguous().clone()
        all_reduce(grad, 'sum')
        return grad.chunk(get_world_size())[get_rank()]
