"""Contrast of anchors with labelled keys.

Shapes: A anchors, K keys, C queues, M slots of a queue, D embedding dims.

Wang et al., "Exploring Cross-Image Pixel Contrast for Semantic
Segmentation", ICCV 2021, https://arxiv.org/abs/2101.11939; Khosla et al.,
"Supervised Contrastive Learning", 2020, https://arxiv.org/abs/2004.11362.
"""
from typing import Callable, Optional, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_labels,
                                         check_positive, check_rows)
from mmpixsort.functional.precision import autocast_off

from .keys import Keys, OwnKey, as_blocks
from .tiles import Miner, contrast_rows, contrast_sum

DENOMINATORS = ('per_positive', 'supcon')


def pixel_contrast(
    anchors: Tensor,
    anchor_labels: Tensor,
    keys: Keys,
    key_labels: Optional[Tensor] = None,
    *,
    temperature: float,
    base_temperature: Optional[float] = None,
    own_key: OwnKey = None,
    denominator: str = 'per_positive',
    miner: Optional[Miner] = None,
) -> Tuple[Tensor, Tensor]:
    r"""Pull each anchor to the keys of its class, away from all others.

    With :math:`s_{ik} = a_i \cdot k_k / \tau`, positives :math:`P(i)` (same
    label, not the anchor itself) and negatives :math:`N(i)` (another label):

    .. math::
        L_i = \frac{\tau}{\tau_{base}} \frac{1}{|P(i)|} \sum_{p \in P(i)}
              - \log \frac{\exp s_{ip}}{\exp s_{ip}
              + \sum_{n \in N(i)} \exp s_{in}}

    This is 'per_positive': each positive against all negatives, as the
    released code has it. 'supcon' puts all positives into the denominator
    (Khosla et al., eq. 2). Gradients are made in the forward pass, tile by
    tile: extra memory does not grow with the number of keys, and keys may
    be overwritten before backward (a queue is). The one exception are keys
    that require a gradient, for which an (A, K) matrix is kept.

    Similarities are computed in float32 (float64 stays), autocast off.

    Args:
        anchors: (A, D), unit rows for cosine similarity.
        anchor_labels: (A,) integer; a negative label marks a row that takes
            no part, whatever its values.
        keys: (K, D), or a sequence of :class:`KeyBlock`, flat (K, D) or by
            class (C, M, D), in which queue c holds class c.
        key_labels: (K,) integer for a tensor of keys, None for blocks.
            Negative: takes no part.
        temperature: Divides the similarities, above 0.
        base_temperature: The loss is scaled by temperature /
            base_temperature; None scales by 1.
        own_key: (A,) integer, index of the key that is the anchor itself,
            counted over all blocks in order; -1 for none. An int o stands
            for `arange(A) + o`: pass 0 when the keys are the anchors.
        denominator: 'per_positive' or 'supcon'.
        miner: Narrows the pairs of a tile: called with similarities (a, K)
            and bool masks of positives and negatives, returns both masks.
            See :class:`mmpixsort.samplers.KeyMiner`.

    Returns:
        Loss (A,), zero where invalid, and valid (A,) bool: the anchor takes
        part and has a positive.

    Raises:
        ValueError: On wrong shapes, temperatures or `denominator`.
        TypeError: On labels that are not integers.

    Example:
        >>> anchors = torch.eye(2)
        >>> labels = torch.tensor([0, 1])
        >>> loss, valid = pixel_contrast(
        ...     anchors, labels, torch.eye(2), labels, temperature=1.)
        >>> loss
        tensor([0.3133, 0.3133])
    """
    return _evaluate(
        contrast_rows, anchors, anchor_labels, keys, key_labels,
        temperature=temperature, base_temperature=base_temperature,
        own_key=own_key, denominator=denominator, miner=miner)


def pixel_contrast_sum(
    anchors: Tensor,
    anchor_labels: Tensor,
    keys: Keys,
    key_labels: Optional[Tensor] = None,
    *,
    temperature: float,
    base_temperature: Optional[float] = None,
    own_key: OwnKey = None,
    denominator: str = 'per_positive',
    miner: Optional[Miner] = None,
) -> Tuple[Tensor, Tensor]:
    """Sum the losses of :func:`pixel_contrast` over the anchors.

    All gradients are made in the forward pass, as the loss that follows can
    only scale the sum: no matrix of all pairs is kept for the gradient of
    keys.

    Args:
        anchors: (A, D), as all arguments in :func:`pixel_contrast`.
        anchor_labels: (A,) integer.
        keys: (K, D) or blocks.
        key_labels: (K,) integer for a tensor of keys.
        temperature: Divides the similarities, above 0.
        base_temperature: The loss is scaled by temperature /
            base_temperature; None scales by 1.
        own_key: (A,) integer or offset.
        denominator: 'per_positive' or 'supcon'.
        miner: Narrows the pairs of a tile.

    Returns:
        The sum over valid anchors (), and valid (A,) bool.

    Raises:
        ValueError: On wrong shapes, temperatures or `denominator`.
        TypeError: On labels that are not integers.

    Example:
        >>> labels = torch.tensor([0, 1])
        >>> total, valid = pixel_contrast_sum(
        ...     torch.eye(2), labels, torch.eye(2), labels, temperature=1.)
        >>> total
        tensor(0.6265)
    """
    return _evaluate(
        contrast_sum, anchors, anchor_labels, keys, key_labels,
        temperature=temperature, base_temperature=base_temperature,
        own_key=own_key, denominator=denominator, miner=miner)


def _evaluate(evaluate: Callable, anchors: Tensor, anchor_labels: Tensor,
              keys: Keys, key_labels: Optional[Tensor], *, temperature: float,
              base_temperature: Optional[float], own_key: OwnKey,
              denominator: str,
              miner: Optional[Miner]) -> Tuple[Tensor, Tensor]:
    """Check the arguments and call a function of the tiles."""
    anchor_labels = check_rows('anchors', anchors, anchor_labels)
    check_positive('temperature', temperature)
    check_choice('denominator', denominator, DENOMINATORS)
    scale = 1.
    if base_temperature is not None:
        check_positive('base_temperature', base_temperature)
        scale = temperature / base_temperature
    if isinstance(own_key, Tensor):
        own_key = check_labels('own_key', own_key, anchor_labels.shape)
    blocks = as_blocks(keys, key_labels, embed_dims=anchors.shape[1])
    with autocast_off(anchors.device):
        if anchors.dtype != torch.float64:
            anchors = anchors.float()
        return evaluate(
            anchors,
            anchor_labels,
            blocks,
            own_key=own_key,
            temperature=temperature,
            scale=scale,
            denominator=denominator,
            miner=miner)
