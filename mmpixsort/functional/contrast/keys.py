"""The two forms of keys that losses accept, and their pairs with anchors.

Shapes: A anchors, K keys, C queues, M slots of a queue, D embedding dims.
"""
from typing import Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_labels
from mmpixsort.structures import KeyBlock

Keys = Union[Tensor, Sequence[KeyBlock]]
# index (A,) of the key that is the anchor itself, -1 where there is none; an
# int o stands for arange(A) + o
OwnKey = Union[Tensor, int, None]


def as_blocks(keys: Keys, key_labels: Optional[Tensor],
              embed_dims: int) -> Sequence[KeyBlock]:
    """Check keys and return them as a sequence of blocks.

    Args:
        keys: (K, D) tensor, one :class:`KeyBlock` or a sequence of them.
        key_labels: (K,) integer labels of a tensor of keys; None for blocks,
            which carry their labels.
        embed_dims: D, the number of dims that every block must have.

    Returns:
        Blocks whose labels are int64.

    Raises:
        ValueError: If a shape is wrong, if there is no block, or if labels
            are given twice or not at all.
        TypeError: If labels are not integers.
    """
    if isinstance(keys, KeyBlock):
        keys = (keys, )
    if isinstance(keys, Tensor):
        if key_labels is None:
            raise ValueError('`key_labels` must be given for a tensor of '
                             'keys, got None')
        keys = (KeyBlock(keys, key_labels), )
    elif key_labels is not None:
        raise ValueError('`key_labels` must be None when `keys` is a '
                         'sequence of KeyBlock, which carry their labels')
    if len(keys) == 0:
        raise ValueError('`keys` must hold at least one KeyBlock, got none')
    checked = []
    for block in keys:
        if block.keys.dim() not in (2, 3) or (block.keys.shape[-1] !=
                                              embed_dims):
            raise ValueError(
                f'`keys` must have shape (K, {embed_dims}) or (C, M, '
                f'{embed_dims}), got {tuple(block.keys.shape)}')
        checked.append(KeyBlock(block.keys, check_labels(
            'key_labels', block.labels, block.keys.shape[:-1])))
    return checked


def flatten_blocks(blocks: Sequence[KeyBlock]) -> KeyBlock:
    """Join all blocks to one flat block of keys (K, D) and labels (K,).

    It is meant for losses that do not use the class structure of a bank.
    The keys are copied if there is more than one block.
    """
    flat = [
        KeyBlock(block.keys.flatten(0, -2), block.labels.flatten())
        for block in blocks
    ]
    if len(flat) == 1:
        return flat[0]
    return KeyBlock(*map(torch.cat, zip(*flat)))


def zero_ignored(rows: Tensor, labels: Tensor) -> Tensor:
    """Set the rows (N, D) with a negative label to zero.

    A weight of zero is not enough to ignore a row: zero times NaN is NaN.
    The result is a copy, so that a bank may be overwritten before backward.
    """
    return rows.masked_fill((labels < 0)[:, None], 0.)


def pair_masks(
        labels: Tensor,
        own_key: OwnKey,
        key_labels: Tensor,
        ignored: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
    """Return the mask of positive pairs and the mask of non-negative pairs.

    Args:
        labels: (A,) int64 labels of the anchors.
        own_key: (A,) index of the key that is the anchor itself, -1 where
            there is none; an int o stands for `arange(A) + o`. Such a pair
            is neither positive nor negative.
        key_labels: (K,) int64 labels of the keys; negative labels are
            ignored.
        ignored: (K,) bool mask of the ignored keys; None computes it.

    Returns:
        Two masks (A, K): True for positives, and True for all pairs that are
        not negatives.

    Example:
        >>> labels = torch.tensor([0, 1])
        >>> positive, excluded = pair_masks(
        ...     labels, 0, torch.tensor([0, 1, 1, -1]))
        >>> positive[1].tolist(), excluded[1].tolist()
        ([False, False, True, False], [False, True, True, True])
    """
    ignored = key_labels < 0 if ignored is None else ignored
    same = labels[:, None] == key_labels
    excluded = same | ignored
    positive = same > ignored  # the same and not ignored
    if isinstance(own_key, int):
        positive.diagonal(own_key).fill_(False)
    elif own_key is not None:
        column = torch.arange(len(key_labels), device=key_labels.device)
        positive &= own_key[:, None] != column
    return positive, excluded
