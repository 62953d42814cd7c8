"""A partition of pixels into instances, numbered by size.

Shapes: N pixels, D embedding dims, K instances.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from mmpixsort.functional.precision import autocast_off

from .meanshift_windows import nearest_center


class Clusters(NamedTuple):
    """A partition of pixels into instances.

    Attributes:
        labels: (N,) int64 instance of each pixel: 1 to K in the order of
            decreasing size, 0 for pixels of no instance.
        centers: (K, D) float32 centres; row k - 1 belongs to instance k.
    """

    labels: Tensor
    centers: Tensor


@torch.no_grad()
def assign_nearest(embeddings: Tensor,
                   centers: Tensor,
                   *,
                   max_distance: Optional[float] = None) -> Tensor:
    """Label every pixel with its nearest centre.

    Args:
        embeddings: (N, D) floating tensor.
        centers: (K, D) floating tensor.
        max_distance: Distance beyond which a centre is not assigned; None
            does not limit it.

    Returns:
        (N,) int64 labels from 1 to K; 0 for pixels without a centre within
        `max_distance`. Of equally near centres the first is assigned.

    Example:
        >>> centers = torch.tensor([[0.], [5.]])
        >>> assign_nearest(
        ...     torch.tensor([[4.], [1.], [9.]]), centers, max_distance=2.)
        tensor([2, 1, 0])
    """
    with autocast_off(embeddings.device):
        centers = centers.float()
        origin = centers.mean(0) if len(centers) else 0.
        return nearest_center(
            embeddings.float() - origin, centers - origin, max_distance)


def keep_large(clusters: Clusters, *, min_pixels: int = 1) -> Clusters:
    """Drop small instances and number the others by decreasing size.

    Args:
        clusters: Partition of pixels, with labels in [0, K] in any order.
        min_pixels: Minimum number of pixels of an instance; the pixels of
            smaller ones get the label 0.

    Returns:
        The new partition. Of instances of equal size, the one with the first
        pixel comes first, so that the numbers do not depend on the old ones.

    Example:
        >>> labels = torch.tensor([1, 2, 2, 3, 0, 3, 3])
        >>> keep_large(Clusters(labels, torch.eye(3)), min_pixels=2).labels
        tensor([0, 2, 2, 1, 0, 1, 1])
    """
    labels, centers = clusters
    count = len(centers) + 1
    sizes = labels.bincount(minlength=count)[1:]
    places = torch.arange(len(labels), device=labels.device)
    first = places.new_full((count, ), len(labels)).scatter_reduce(
        0, labels, places, 'amin')[1:]
    order = first.argsort()
    order = order[sizes[order].argsort(descending=True, stable=True)]
    order = order[sizes[order] >= min_pixels]
    new = labels.new_zeros(count)
    new[order + 1] = torch.arange(1, len(order) + 1, device=labels.device)
    return Clusters(new[labels], centers[order])
