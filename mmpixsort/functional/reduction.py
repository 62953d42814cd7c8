"""Reductions over rows of which only some take part."""
from torch import Tensor


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Average `values` over the valid rows, zero when there is none.

    The zero of an empty batch is connected to the graph.

    Args:
        values: (N, ...), zero where invalid, as every functional loss has it.
        valid: (N,) bool.

    Returns:
        (...).

    Example:
        >>> import torch
        >>> masked_mean(torch.tensor([1., 0., 3.]),
        ...             torch.tensor([True, False, True]))
        tensor(2.)
    """
    return values.sum(0) / valid.sum().clamp(min=1)
