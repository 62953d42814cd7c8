"""Reductions over the valid rows of a tensor."""
from torch import Tensor


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Average values over the valid rows, or return zero without valid rows.

    That zero is connected to the graph, so that backward works on it.

    Args:
        values: (N, ...) floating tensor that is zero in invalid rows, as the
            functional losses return it.
        valid: (N,) bool mask of the rows to average.

    Returns:
        Mean of shape (...).

    Example:
        >>> import torch
        >>> masked_mean(torch.tensor([1., 0., 3.]),
        ...             torch.tensor([True, False, True]))
        tensor(2.)
    """
    return values.sum(0) / valid.sum().clamp(min=1)
