"""Region tokens beside the tokens of a ViT: biases and one attention step.

Shapes: B images, K regions of an image, P patches, T = P tokens that can be
attended to or 1 + P with CLS first, M heads, D dims of a head.

A region token r_k is a shadow of CLS: it reads the ordinary tokens under an
additive bias, and no ordinary token reads it. So the ordinary stream does not
change, and the step is a cross-attention with the keys [r_k; CLS; patches]
instead of a mask of all tokens with all. After SAN (Xu et al., CVPR 2023,
https://arxiv.org/abs/2302.12242); for Zhang et al., "Associating
Spatially-Consistent Grouping with Text-supervised Semantic Segmentation",
2023, https://arxiv.org/abs/2304.01114, a reconstruction: the rule of its
contextually aware masking is not published.
"""
from typing import Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative)

CONTEXTS = ('hard', 'late', 'soft', 'none', 'isolated')
CLOSED = float('-inf')


def outside_bias(context: str,
                 *,
                 layer: int = 0,
                 start_layer: int = 0,
                 soft_bias: float = 2.) -> float:
    """Return c_l, the bias of a layer between a region and other patches.

    Args:
        context: 'hard' and 'isolated': minus infinity; 'late': 0 before
            `start_layer`, then minus infinity; 'soft': -`soft_bias`;
            'none': 0.
        layer: l, from 0.
        start_layer: First layer of 'late' that is confined.
        soft_bias: lambda of 'soft', 0 or more.

    Example:
        >>> [outside_bias('late', layer=i, start_layer=1) for i in range(2)]
        [0.0, -inf]
    """
    check_choice('context', context, CONTEXTS)
    check_non_negative('soft_bias', soft_bias)
    if context == 'none' or context == 'late' and layer < start_layer:
        return 0.
    return -soft_bias if context == 'soft' else CLOSED


def region_members(ids: Tensor, num_regions: int) -> Tensor:
    """Return which patches are in which region.

    Args:
        ids: (B, P) integer in [0, K); any other number: in no region.
        num_regions: K.

    Returns:
        (B, K, P) bool.
    """
    check_count('num_regions', num_regions)
    if ids.dim() != 2 or ids.is_floating_point():
        raise ValueError('`ids` must be integers of shape (B, P), got '
                         f'{ids.dtype} of shape {tuple(ids.shape)}; a map '
                         '(B, h, w) becomes rows by `.flatten(1)`')
    numbers = torch.arange(num_regions, device=ids.device)
    return ids.long()[:, None] == numbers[:, None]


def region_bias(members: Tensor,
                *,
                outside: float,
                cls_bias: Optional[float] = CLOSED,
                dtype: torch.dtype = torch.float32) -> Tensor:
    """Return what is added to the attention logits of region tokens.

    The own key is always open, so no row is closed as a whole: a region
    without patches stays finite.

    Args:
        members: (B, K, P) bool, see :func:`region_members`.
        outside: c_l of patches that are not in the region.
        cls_bias: Bias of the class token; None: the tokens have no bias.
        dtype: Floating data type of the result.

    Returns:
        (B, K, 1 + T) for the keys [own; CLS; patches].

    Example:
        >>> members = region_members(torch.tensor([[0, 1]]), 2)
        >>> region_bias(members, outside=-2.)[0].tolist()
        [[0.0, -inf, 0.0, -2.0], [0.0, -inf, -2.0, 0.0]]
    """
    bias = torch.zeros(members.shape, dtype=dtype, device=members.device)
    parts = [bias.masked_fill(~members, outside)]
    if cls_bias is not None:
        parts.insert(0, bias.new_full((*bias.shape[:2], 1), cls_bias))
    parts.insert(0, bias.new_zeros(*bias.shape[:2], 1))
    return torch.cat(parts, dim=2)


def confinement_bias(ids: Tensor,
                     dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the bias (B, P, P) under which patches see their own region.

    Patches in no region see one another.

    Args:
        ids: (B, P) integer.
        dtype: Floating data type of the result.
    """
    bias = torch.zeros(*ids.shape, ids.shape[1], dtype=dtype,
                       device=ids.device)
    return bias.masked_fill(ids[:, :, None] != ids[:, None], CLOSED)


def region_attention(queries: Tensor, own_keys: Tensor, own_values: Tensor,
                     keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    r"""Let every region token attend to itself and to the ordinary tokens.

    .. math::
        o_k = \mathrm{softmax}\left(\frac{q_k [k_k; k_1 ... k_T]^\top}
        {\sqrt D} + A_k\right) [v_k; v_1 ... v_T]

    The softmax runs in float32 or, for float64, in that.

    Args:
        queries: (B, M, K, D) of the region tokens, after projection.
        own_keys, own_values: (B, M, K, D) of the same tokens.
        keys, values: (B, M, T, D) of the ordinary tokens.
        bias: (B, K, 1 + T) floating, the own key first, see
            :func:`region_bias`.

    Returns:
        (B, M, K, D), before the output projection.

    Raises:
        TypeError: On a bias of bool or integers.
        ValueError: On a bias of another shape.

    Example:
        >>> q = torch.zeros(1, 1, 1, 1)
        >>> keys = torch.ones(1, 1, 2, 1)
        >>> region_attention(q, q, q, keys, keys, torch.zeros(1, 1, 3))
        tensor([[[[0.6667]]]])
    """
    batch, _, count, dims = queries.shape
    check_bias(bias, (batch, count, 1 + keys.shape[2]))
    queries = queries * dims**-.5
    logits = torch.cat([(queries * own_keys).sum(3, keepdim=True),
                        queries @ keys.transpose(2, 3)], dim=3)
    precise = torch.promote_types(logits.dtype, torch.float32)
    weights = (logits.to(precise) + bias[:, None]).softmax(3).to(values.dtype)
    own, other = weights.split([1, keys.shape[2]], dim=3)
    return own * own_values + other @ values


def check_bias(bias: Tensor, shape: tuple) -> None:
    """Raise unless `bias` is a floating tensor of `shape`."""
    if not bias.is_floating_point():
        raise TypeError(
            f'`bias` must be floating, got {bias.dtype}; it is added to the '
            'logits, where True would add 1 and close nothing: use '
            '`torch.zeros(...).masked_fill(closed, float("-inf"))`')
    if tuple(bias.shape) != tuple(shape):
        raise ValueError(f'`bias` must have shape {tuple(shape)}, (B, K, 1 + '
                         f'T), got {tuple(bias.shape)}')
