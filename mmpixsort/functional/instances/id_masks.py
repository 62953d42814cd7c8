"""A map of ids and the masks, boxes and scores that it stands for.

A map and a table say what a stack of masks does in n times the memory, so
the stack is made last, once, where a host asks for it.

Shapes: H W size, n instances, C classes.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from mmpixsort.functional.segments.partition import region_boxes


class ClassVotes(NamedTuple):
    """What the pixels of instances say.

    Attributes:
        labels: (n,) int64 class of most of the pixels, of equals the first.
        scores: (n,) mean probability of this class, 0 without a pixel.
    """

    labels: Tensor
    scores: Tensor


def vote_classes(ids: Tensor, probabilities: Tensor, count: int) -> ClassVotes:
    """Return the class of most pixels of instances, and how sure they are.

    Args:
        ids: (H, W) int64 in [0, n], 0: none.
        probabilities: (C, H, W).
        count: n.

    Example:
        >>> ids = torch.tensor([[1, 1, 1, 0]])
        >>> share = torch.tensor([[[.25, .75, .5, 1.]]])
        >>> vote_classes(ids, torch.cat([share, 1 - share]), 1)
        ClassVotes(labels=tensor([0]), scores=tensor([0.5000]))
    """
    num_classes = len(probabilities)
    owners, rows = ids.flatten(), probabilities.flatten(1)
    votes = (owners * num_classes + rows.argmax(0)).bincount(
        minlength=(count + 1) * num_classes).view(count + 1, num_classes)
    labels = votes.argmax(1)
    own = rows.gather(0, labels[owners][None])[0]
    # float32 loses small addends in large instances
    sums = own.new_zeros(count + 1, dtype=torch.double).index_add_(
        0, owners, own.double())
    scores = (sums / votes.sum(1).clamp(min=1)).to(rows.dtype)
    return ClassVotes(labels[1:], scores[1:])


def masks_of_ids(ids: Tensor, numbers: Tensor) -> Tensor:
    """Return the masks (n, H, W) bool of ids.

    Args:
        ids: (H, W) integer.
        numbers: (n,) the ids that get a mask.

    Example:
        >>> masks_of_ids(torch.tensor([[2, 0, 1]]), torch.tensor([1, 2]))
        tensor([[[False, False,  True]],
        <BLANKLINE>
                [[ True, False, False]]])
    """
    return ids[None] == numbers[:, None, None]


def boxes_of_ids(ids: Tensor, count: int) -> Tensor:
    """Return boxes x1, y1, x2, y2 (n, 4), of which x2 and y2 lie outside.

    Args:
        ids: (H, W) int64 in [0, n], 0: none.
        count: n.

    Returns:
        (n, 4) float32, zeros for an id without a pixel.

    Example:
        >>> boxes_of_ids(torch.tensor([[0, 1, 1], [0, 0, 1]]), 2)
        tensor([[1., 0., 3., 2.],
                [0., 0., 0., 0.]])
    """
    slots = torch.where(ids > 0, ids - 1, count)
    top, left, height, width = (
        part[0] for part in region_boxes(slots[None], count))
    boxes = torch.stack([left, top, left + width, top + height], 1).float()
    return boxes.masked_fill((top == ids.shape[0])[:, None], 0.)


def paint_masks(masks: Tensor, scores: Optional[Tensor] = None) -> Tensor:
    """Paint masks that may overlap into a map, the highest score on top.

    Args:
        masks: (n, H, W) bool or integer.
        scores: (n,); of equal ones the first lies on top. None: all equal.

    Returns:
        (H, W) int64, k + 1 where mask k is seen, 0 where none is.

    Example:
        >>> masks = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]]])
        >>> paint_masks(masks, torch.tensor([.4, .9]))
        tensor([[1, 2, 2, 0]])
    """
    painted = masks.new_zeros(masks.shape[1:], dtype=torch.long)
    order = list(range(len(masks)))
    if scores is not None:
        order = scores.argsort(descending=True, stable=True).tolist()
    for row in reversed(order):
        painted.masked_fill_(masks[row].bool(), row + 1)
    return painted
