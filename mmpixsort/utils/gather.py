"""Gather rows from all ranks, and average over the rows of all ranks.

Shapes: R ranks, N rows of this rank, D embedding dims.
"""
from typing import List, Tuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from mmpixsort.functional.reduction import masked_mean

from .ranks import all_gather, all_reduce, get_rank, get_world_size


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, in the order of ranks.

    The gradient of the rows of a rank is the sum of their gradients on all
    ranks, as if one process held all rows. As DDP averages the gradients of
    the weights over ranks, training minimises the mean of the losses of the
    ranks. If one rank runs the backward pass, all must.

    Args:
        rows: (N, ...), with the same N on all ranks; otherwise use
            :func:`gather_labeled`.

    Returns:
        (R * N, ...) rows; `rows` itself if there is one rank.
    """
    if get_world_size() == 1:
        return rows
    return _GatherRows.apply(rows)


def gather_labeled(embeddings: Tensor,
                   labels: Tensor) -> Tuple[Tensor, Tensor]:
    """Concatenate labelled rows of all ranks, whose numbers may differ.

    The rows of each rank are padded with rows of label -1 to the largest
    number, then gathered by :func:`gather_rows`. With more than one rank,
    this waits for the device once.

    Args:
        embeddings: (N, D) rows of this rank.
        labels: (N,) integer labels.

    Returns:
        (R * M, D) embeddings and (R * M,) labels, where M is the largest N
        of all ranks; the arguments themselves if there is one rank.
    """
    if get_world_size() == 1:
        return embeddings, labels
    most, = largest_sizes(len(labels))
    return (gather_rows(pad_to(embeddings, most)),
            gather_rows(pad_to(labels, most, fill=-1)))


def largest_sizes(*sizes: int) -> List[int]:
    """Return the maximum of each size over all ranks.

    With more than one rank, this waits for the device once.

    Args:
        sizes: Sizes on this rank; all ranks must pass the same number.
    """
    if get_world_size() == 1:
        return list(sizes)
    values = torch.tensor(sizes)
    all_reduce(values, 'max')
    return values.tolist()


def pad_to(values: Tensor, *sizes: int, fill: float = 0) -> Tensor:
    """Pad the first dims of a tensor at their ends to the given sizes.

    Args:
        values: Tensor with at least as many dims as there are `sizes`.
        sizes: New sizes of the first dims, not below the present ones.
        fill: Value of the padding.

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
    """Return the sum of a tensor over all ranks, without gradient.

    Args:
        values: (...), with the same shape on all ranks.
    """
    total = values.detach().clone()
    all_reduce(total, 'sum')
    return total


def mean_over_ranks(values: Tensor, valid: Tensor) -> Tensor:
    """Return this rank's part of the mean over the valid rows of all ranks.

    The mean of the results of all ranks is the mean over the valid rows of
    all ranks, or zero if there are none. As DDP averages gradients over
    ranks, every valid row then has the same weight, whichever rank holds it.
    If one rank calls this, all must.

    Args:
        values: (N, ...), zero in invalid rows; N may differ between ranks.
        valid: (N,) bool, True for valid rows.

    Returns:
        (...) part of this rank, with a gradient for `values`.
    """
    if get_world_size() == 1:
        return masked_mean(values, valid)
    count = sum_over_ranks(valid.sum()).clamp(min=1)
    return values.sum(0) * (get_world_size() / count)


def share_over_ranks(total: Tensor, weight: Tensor) -> Tensor:
    """Return this rank's part of the weighted mean over rows of all ranks.

    The mean of the results of all ranks is the weighted mean, or zero if all
    weights are zero. Use it instead of :func:`mean_over_ranks` if the sum is
    known already. If one rank calls this, all must.

    Args:
        total: () weighted sum over the rows of this rank.
        weight: () sum of the weights of these rows, 0 or more.

    Returns:
        () part of this rank, with a gradient for `total`.
    """
    ranks = get_world_size()
    if ranks > 1:
        total, weight = total * ranks, sum_over_ranks(weight)
    # without rows both are 0; the smallest number avoids 0 / 0
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
