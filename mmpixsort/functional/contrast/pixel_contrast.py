"""Contrastive losses of anchors against labelled keys.

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
    r"""Pull each anchor towards keys of its class and away from other keys.

    With the similarities :math:`s_{ik} = a_i \cdot k_k / \tau`, the positives
    :math:`P(i)` (keys with the label of the anchor, except the anchor itself)
    and the negatives :math:`N(i)` (keys with another label), the loss is

    .. math::
        L_i = \frac{\tau}{\tau_{base}} \frac{1}{|P(i)|} \sum_{p \in P(i)}
              - \log \frac{\exp s_{ip}}{\exp s_{ip}
              + \sum_{n \in N(i)} \exp s_{in}}

    with the denominator 'per_positive', which compares each positive with
    all negatives as in the authors' released code. The denominator 'supcon'
    contains all positives and negatives (Khosla et al., eq. 2).

    Gradients are computed in the forward pass, tile by tile, so extra memory
    does not grow with the number of keys (on a CPU up to 2^18 keys), and keys
    such as those of a queue may be overwritten before backward. The exception
    is keys that require a gradient: an (A, K) matrix is kept for them.

    Similarities are computed in float32, or in float64 for float64 anchors,
    with autocast off.

    Args:
        anchors: (A, D) floating tensor; unit rows for cosine similarity.
        anchor_labels: (A,) integer labels. Rows with a negative label are
            ignored, and their values do not matter.
        keys: (K, D) tensor, or a sequence of :class:`KeyBlock` with keys
            (K, D), or (C, M, D) where queue c holds keys of class c.
        key_labels: (K,) integer labels of a tensor of keys; None for blocks,
            which carry their labels. Keys with a negative label are ignored.
        temperature: tau, divisor of the similarities, above 0.
        base_temperature: tau_base, above 0; None scales the loss by 1.
        own_key: (A,) integer index of the key that is the anchor itself,
            counted over all blocks in order; -1 where there is none. An int
            o stands for `arange(A) + o`; use 0 if the keys are the anchors.
        denominator: 'per_positive' or 'supcon'.
        miner: Function that selects pairs. It gets the similarities (a, K)
            of a tile and the bool masks (a, K) of positives and negatives,
            and returns the two masks with fewer pairs. See
            :class:`mmpixsort.samplers.KeyMiner`. None uses all pairs.

    Returns:
        Loss (A,), zero for anchors that are not valid, and the mask (A,) of
        valid anchors, which are not ignored and have a positive.

    Raises:
        ValueError: If a shape, a temperature or `denominator` is wrong.
        TypeError: If labels are not integers.

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
    loss_weight: float = 1.,
) -> Tuple[Tensor, Tensor]:
    """Sum the losses of :func:`pixel_contrast` over the anchors.

    It needs less memory than the sum of :func:`pixel_contrast` if keys
    require a gradient. Backward can only scale the gradients of a sum, so
    they are complete after the forward pass, and no (A, K) matrix is kept.

    Args:
        anchors: See :func:`pixel_contrast`, also for the other arguments.
        anchor_labels: (A,) integer labels.
        keys: (K, D) tensor or blocks.
        key_labels: (K,) integer labels of a tensor of keys.
        temperature: Divisor of the similarities, above 0.
        base_temperature: tau_base, above 0; None scales the loss by 1.
        own_key: (A,) integer index of the anchors among the keys, or offset.
        denominator: 'per_positive' or 'supcon'.
        miner: Function that selects pairs; None uses all pairs.
        loss_weight: Factor of the sum, 0 or more.

    Returns:
        Sum of the losses (), and the mask (A,) of valid anchors.

    Raises:
        ValueError: If a shape, a temperature or `denominator` is wrong.
        TypeError: If labels are not integers.

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
        own_key=own_key, denominator=denominator, miner=miner,
        loss_weight=loss_weight)


def _evaluate(evaluate: Callable, anchors: Tensor, anchor_labels: Tensor,
              keys: Keys, key_labels: Optional[Tensor], *, temperature: float,
              base_temperature: Optional[float], own_key: OwnKey,
              denominator: str, miner: Optional[Miner],
              loss_weight: float = 1.) -> Tuple[Tensor, Tensor]:
    """Check the arguments and call `contrast_rows` or `contrast_sum`."""
    anchor_labels = check_rows('anchors', anchors, anchor_labels)
    check_positive('temperature', temperature)
    check_choice('denominator', denominator, DENOMINATORS)
    scale = loss_weight
    if base_temperature is not None:
        check_positive('base_temperature', base_temperature)
        scale *= temperature / base_temperature
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
