"""Attention of region tokens in a ViT: additive biases and one step.

Shapes: B images, K regions of an image, P patches, T ordinary tokens (P
patches, or 1 + P with CLS first), M heads, D dims of a head.

Each region has a token r_k that works like CLS but attends mainly to the
patches of its region. It attends to itself and to the ordinary tokens under
an additive bias, and no ordinary token attends to it. The ordinary tokens
therefore do not change, and one cross-attention with the keys
[r_k; CLS; patches] is enough.

The scheme follows SAN (Xu et al., CVPR 2023,
https://arxiv.org/abs/2302.12242). It reconstructs the contextually aware
masking of Zhang et al., "Associating Spatially-Consistent Grouping with
Text-supervised Semantic Segmentation", 2023,
https://arxiv.org/abs/2304.01114, whose rule is not published.
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
    """Return the attention bias of a layer for patches outside the region.

    Args:
        context: How much a region token attends to patches outside its
            region. The bias is minus infinity for 'hard' and 'isolated'; 0
            before `start_layer` and minus infinity from there on for 'late';
            -`soft_bias` for 'soft'; 0 for 'none'.
        layer: Index of the layer, from 0.
        start_layer: First layer of 'late' in which other patches are
            excluded.
        soft_bias: Size of the bias of 'soft', 0 or more.

    Returns:
        The bias c_l of layer l.

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
    """Return a mask of the patches of every region.

    Args:
        ids: (B, P) integer region of each patch in [0, K); a patch with any
            other number is in no region.
        num_regions: K.

    Returns:
        (B, K, P) bool, True where patch p is in region k.
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
    """Return the bias that is added to the attention logits of regions.

    The bias of a region token for itself is always 0, so that the attention
    of a region without patches stays finite.

    Args:
        members: (B, K, P) bool mask from :func:`region_members`.
        outside: Bias for patches that are not in the region, see
            :func:`outside_bias`.
        cls_bias: Bias for the class token; None if there is no class token.
        dtype: Floating dtype of the result.

    Returns:
        (B, K, 1 + T) bias for the keys [own; CLS; patches].

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
    """Return a bias that confines the attention of patches to their region.

    Patches with the same number attend to one another; so do patches in no
    region, which share one number.

    Args:
        ids: (B, P) integer region of each patch.
        dtype: Floating dtype of the result.

    Returns:
        (B, P, P) bias, 0 within a region and minus infinity elsewhere.
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

    The softmax runs in float32, or in float64 for float64 inputs.

    Args:
        queries: (B, M, K, D) projected queries of the region tokens.
        own_keys: (B, M, K, D) projected keys of the region tokens.
        own_values: (B, M, K, D) projected values of the region tokens.
        keys: (B, M, T, D) projected keys of the ordinary tokens.
        values: (B, M, T, D) projected values of the ordinary tokens.
        bias: (B, K, 1 + T) floating bias A, see :func:`region_bias`; its
            first column belongs to the own key.

    Returns:
        (B, M, K, D) attention outputs before the output projection.

    Raises:
        TypeError: If the bias is not floating.
        ValueError: If the bias has another shape.

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
            'logits, where True would add 1 and exclude nothing: use '
            '`torch.zeros(...).masked_fill(excluded, float("-inf"))`')
    if tuple(bias.shape) != tuple(shape):
        raise ValueError(f'`bias` must have shape {tuple(shape)}, (B, K, 1 + '
                         f'T), got {tuple(bias.shape)}')
