"""Instances of an image from its embeddings and class probabilities.

Shapes: C classes of things, D embedding dims, H W size, n instances.
"""
from typing import Optional

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn


def instances_of_image(embeddings: Tensor, probabilities: Tensor,
                       clusters: nn.Module, *, class_split: str,
                       foreground: Optional[Tensor]) -> InstanceData:
    """Cluster the pixels of things.

    Args:
        embeddings: (D, H, W).
        probabilities: (C + 1, H, W), background last.
        clusters: (D, H, W) embeddings and (H, W) bool -> (H, W) ids.
        class_split: 'class': pixels of each class apart; 'vote': at once.
        foreground: (H, W) bool, where things are; None: where background is
            not the most likely.

    Returns:
        masks (n, H, W) bool, labels (n,), scores (n,) and bboxes (n, 4), by
        decreasing score. A score is the mean probability of the class in
        the mask.
    """
    num_classes = len(probabilities) - 1
    things = probabilities[:-1]
    if foreground is None:
        foreground = probabilities.argmax(0) < num_classes
    best = things.argmax(0)
    if class_split == 'vote' or num_classes == 1:
        regions = [foreground]
    else:
        regions = [foreground & (best == c) for c in range(num_classes)]
    masks = torch.cat([
        _masks(clusters(embeddings, region)) for region in regions])
    areas = masks.flatten(1).sum(1)
    shares = masks.flatten(1).to(things.dtype)
    votes = torch.zeros_like(things).scatter_(0, best[None], 1.)
    labels = (shares @ votes.flatten(1).T).argmax(1)
    means = shares @ things.flatten(1).T / areas.clamp(min=1)[:, None]
    scores = means.gather(1, labels[:, None])[:, 0]
    order = scores.argsort(descending=True, stable=True)
    masks = masks[order]
    return InstanceData(
        masks=masks, labels=labels[order], scores=scores[order],
        bboxes=boxes_of_masks(masks))


def _masks(ids: Tensor) -> Tensor:
    """Return the masks (n, H, W) of ids 1 .. n (H, W)."""
    count = int(ids.max()) if ids.numel() else 0
    numbers = torch.arange(1, count + 1, device=ids.device)
    return ids[None] == numbers[:, None, None]


def boxes_of_masks(masks: Tensor) -> Tensor:
    """Return boxes x1, y1, x2, y2 (n, 4), of which x2 and y2 lie outside."""
    boxes = []
    for dim in (1, 2):  # rows taken together give columns
        seen = masks.any(dim)
        place = torch.arange(seen.shape[1], device=masks.device)
        first = place.masked_fill(~seen, seen.shape[1]).amin(1)
        last = place.masked_fill(~seen, -1).amax(1)
        boxes += [first, last + 1]
    return torch.stack([boxes[i] for i in (0, 2, 1, 3)], 1).float() \
        if len(masks) else masks.new_zeros(0, 4, dtype=torch.float32)
