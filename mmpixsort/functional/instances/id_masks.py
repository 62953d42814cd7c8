"""Compute masks, boxes and class scores of the instances in a map of ids.

A map of ids holds the same information as a stack of n masks that do not
overlap, in much less memory. Such a stack is therefore made only at the end,
where a host needs it.

Shapes: H W size, n instances, C classes.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from mmpixsort.functional.segments.partition import region_boxes


class ClassVotes(NamedTuple):
    """Classes of instances from the votes of their pixels.

    Attributes:
        labels: (n,) int64 class that most pixels of each instance vote for;
            of equally frequent classes the smallest.
        scores: (n,) mean probability of this class over the pixels of the
            instance; 0 for an instance without pixels.
    """

    labels: Tensor
    scores: Tensor


def vote_classes(ids: Tensor, probabilities: Tensor, count: int) -> ClassVotes:
    """Classify instances by the votes of their pixels.

    Every pixel votes for its most probable class.

    Args:
        ids: (H, W) int64 instance of each pixel in [0, n]; 0 for pixels of
            no instance.
        probabilities: (C, H, W) class probabilities.
        count: Number of instances n.

    Returns:
        :class:`ClassVotes` of the instances 1 to n.

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
    # a long sum in float32 would lose small addends
    sums = own.new_zeros(count + 1, dtype=torch.double).index_add_(
        0, owners, own.double())
    scores = (sums / votes.sum(1).clamp(min=1)).to(rows.dtype)
    return ClassVotes(labels[1:], scores[1:])


def masks_of_ids(ids: Tensor, numbers: Tensor) -> Tensor:
    """Return the masks of given instances of a map of ids.

    Args:
        ids: (H, W) integer instance of each pixel.
        numbers: (n,) ids of the instances to return.

    Returns:
        (n, H, W) bool masks.

    Example:
        >>> masks_of_ids(torch.tensor([[2, 0, 1]]), torch.tensor([1, 2]))
        tensor([[[False, False,  True]],
        <BLANKLINE>
                [[ True, False, False]]])
    """
    return ids[None] == numbers[:, None, None]


def boxes_of_ids(ids: Tensor, count: int) -> Tensor:
    """Return the bounding boxes of the instances of a map of ids.

    Args:
        ids: (H, W) int64 instance of each pixel in [0, n]; 0 for pixels of
            no instance.
        count: Number of instances n.

    Returns:
        (n, 4) float32 boxes x1, y1, x2, y2 in pixels, end exclusive; zeros
        for an instance without pixels.

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
    """Paint overlapping masks into a map of ids, the highest score on top.

    Args:
        masks: (n, H, W) bool or integer masks.
        scores: (n,) scores of the masks. Of equal scores, the first mask
            lies on top. None means that all scores are equal.

    Returns:
        (H, W) int64 map of ids: k + 1 where mask k lies on top, 0 outside all
        masks.

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
