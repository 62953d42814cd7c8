"""Instances of an image from its embeddings and class probabilities.

Shapes: C classes of things, D embedding dims, H W size, n instances.
"""
from typing import Optional, Sequence, Tuple

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmpixsort.functional.instances.id_masks import (boxes_of_ids,
                                                     masks_of_ids,
                                                     vote_classes)


def instances_of_image(embeddings: Tensor, probabilities: Tensor,
                       clusters: nn.Module, *, class_split: str,
                       foreground: Optional[Tensor]) -> InstanceData:
    """Return the instances of an image as clusters of its pixels.

    Args:
        embeddings: (D, H, W) embeddings of the pixels.
        probabilities: (C + 1, H, W) class probabilities, background last.
        clusters: Clustering backend. It maps embeddings (D, H, W) and a mask
            (H, W) bool to ids (H, W), where 0 is no cluster.
        class_split: 'class' clusters the pixels of each class separately,
            'vote' those of all things at once.
        foreground: (H, W) bool mask of things; None takes the pixels whose
            most likely class is not the background.

    Returns:
        `masks` (n, H, W) bool, `labels` (n,), `scores` (n,) and `bboxes`
        (n, 4), by decreasing score. A score is the mean probability of the
        class in the mask.
    """
    num_classes = len(probabilities) - 1
    things = probabilities[:-1]
    if foreground is None:
        foreground = probabilities.argmax(0) < num_classes
    if class_split == 'vote' or num_classes == 1:
        regions = [foreground]
    else:
        best = things.argmax(0)
        regions = [foreground & (best == c) for c in range(num_classes)]
    ids, count = _cluster(embeddings, regions, clusters)
    labels, scores = vote_classes(ids, things, count)
    order = scores.argsort(descending=True, stable=True)
    numbers = torch.arange(1, count + 1, device=ids.device)
    places = ids.new_zeros(count + 1)
    places[order + 1] = numbers
    ids = places[ids]
    return InstanceData(
        masks=masks_of_ids(ids, numbers), labels=labels[order],
        scores=scores[order], bboxes=boxes_of_ids(ids, count))


def _cluster(embeddings: Tensor, regions: Sequence[Tensor],
             clusters: nn.Module) -> Tuple[Tensor, int]:
    """Return the ids (H, W) of the clusters of all regions, and their number.

    The ids start at 1; 0 is no cluster.
    """
    ids = embeddings.new_zeros(embeddings.shape[1:], dtype=torch.long)
    count = 0
    for region in regions:
        found = clusters(embeddings, region).long()
        ids = torch.where(found > 0, found + count, ids)
        count += int(found.max()) if found.numel() else 0
    return ids, count
