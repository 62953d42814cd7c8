"""A partition of pixels into instances, numbered by size.

Shapes: N pixels, D embedding dims, K instances.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from mmpixsort.functional.precision import autocast_off

from .meanshift_windows import nearest_center


class Clusters(NamedTuple):
    """A partition of pixels.

    Attributes:
        labels: (N,) int64, 1 to K by decreasing size, 0: none.
        centers: (K, D) float32, of instance k at row k - 1.
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
        embeddings: (N, D).
        centers: (K, D).
        max_distance: Pixels farther from all centres get 0; None: no limit.

    Returns:
        (N,) int64, 1 to K; 0 where no centre is near enough or K is 0.

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
        clusters: With labels in [0, K].
        min_pixels: Instances with fewer get the label 0.

    Returns:
        Of equal sizes, the one with the first pixel comes first: the numbers
        depend on the partition alone.

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
