"""Rows of all ranks, in the order of ranks."""
import torch
from mmengine.dist import (all_gather, all_reduce, get_rank,
                           get_world_size)
from torch import Tensor


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, with gradient.

    What every rank derives from the rows of rank r comes back to them: the
    sum over ranks of the gradients, as in one process with all rows. DDP
    then averages over ranks, so the mean of the losses of the ranks is what
    is descended. All ranks must run the backward pass if any does.

    Args:
        rows: (N, ...), N equal on all ranks.

    Returns:
        (R * N, ...), for R ranks; `rows` itself for one.
    """
    if get_world_size() == 1:
        return rows
    return _GatherRows.apply(rows)


class _GatherRows(torch.autograd.Function):

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        return torch.cat(all_gather(rows.contiguous()))

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.contiguous().clone()
        all_reduce(grad, 'sum')
        return grad.chunk(get_world_size())[get_rank()]
