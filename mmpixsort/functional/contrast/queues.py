"""Where rows go in ring queues, and what goes into a class queue.

Shapes: B images, C classes, H W size, D embedding dims, K pixels of one
image and class, N rows, R rings, M slots of a ring.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_labels

from .sampling import class_groups, sample_groups


def ring_slots(rings: Tensor, written: Tensor,
               capacity: int) -> Tuple[Tensor, Tensor]:
    """Place rows in ring queues, each row behind the one before it.

    Row i of ring r, the k-th of that ring in this call, goes to slot
    (written_r + k) mod M. Of more than M rows the last M stay.

    Args:
        rings: (N,) int64; outside [0, R) a row is skipped.
        written: (R,) int64, rows that each ring has taken so far.
        capacity: M.

    Returns:
        Position (N,): 0 for a skipped row, else 1 + r * M + slot; and the
        number of rows that each ring gets (R,).
    """
    if len(rings) == 0:
        return rings, torch.zeros_like(written)
    ring = torch.arange(len(written), device=rings.device)
    member = rings[:, None] == ring
    running = member.cumsum(0)
    position = (running + (written - 1)).remainder_(capacity)
    position += torch.arange(
        1, len(written) * capacity + 1, capacity, device=rings.device)
    if len(rings) > capacity:
        member &= running > running[-1] - capacity
    return position.mul_(member).amax(1), running[-1]


class QueueRows(NamedTuple):
    """Rows for a class queue with a pixel and a region section.

    Attributes:
        embeddings: (N, D), unit rows.
        labels: (N,) int64, -1 where a class is absent or has fewer pixels.
        sections: Number of pixel rows and of region rows; pixels first.
    """

    embeddings: Tensor
    labels: Tensor
    sections: Tuple[int, int]


def pixels_and_regions(
        embeddings: Tensor,
        labels: Tensor,
        *,
        num_classes: int,
        num_pixels: int,
        generator: Optional[torch.Generator] = None) -> QueueRows:
    """Make the bank entries of a batch (Wang et al., section 3.2).

    Of every class of every image: up to K pixels at random, and the region,
    which is the normalised mean of all its pixels.

    Args:
        embeddings: (B, D, H, W), unit vectors over D.
        labels: (B, H, W) int64; outside [0, C) a pixel takes no part.
        num_classes: C.
        num_pixels: K.
        generator: Source of randomness, on the device of `labels`.

    Returns:
        N = B * C * (K + 1) rows: all pixels ordered by image, class and
        draw, then all regions.
    """
    groups = class_groups(labels, num_classes).flatten()
    shape = len(labels), num_classes
    pixel, unused = sample_groups(groups, shape, num_pixels, generator)
    classes = torch.arange(num_classes, device=labels.device)
    pixel_labels = classes[:, None].expand_as(unused).masked_fill(unused, -1)
    region_labels = pixel_labels[..., 0].flatten()
    regions = region_means(
        embeddings, check_labels('labels', labels, labels.shape), classes)
    size = labels[0].numel()
    pixel = pixel.flatten()
    pixels = embeddings.flatten(2)[pixel // size, :, pixel % size]
    return QueueRows(
        torch.cat([pixels, regions]),
        torch.cat([pixel_labels.flatten(), region_labels]),
        (pixel.numel(), len(regions)))


def region_means(embeddings: Tensor, labels: Tensor,
                 classes: Tensor) -> Tensor:
    """Return the normalised mean embedding of every image and class.

    A product with a map of 0 and 1 for each class, which reads the
    embeddings as they lie: a CPU takes a third of the time of a sum by
    index, which needs them transposed.

    Args:
        embeddings: (B, D, H, W).
        labels: (B, H, W) int64; outside [0, C) a pixel takes no part,
            whatever its embedding.
        classes: (C,) int64, the numbers from 0 to C - 1.

    Returns:
        (B * C, D), zero for an absent class.
    """
    pixels = embeddings.flatten(2).transpose(1, 2)
    labels = labels.flatten(1)[..., None]
    inside = (labels == classes).to(pixels.dtype).transpose(1, 2)
    if pixels.device.type == 'cpu' and not torch.compiler.is_compiling():
        sums = torch.bmm(inside, pixels)
        if sums.isfinite().all():
            return normalize(sums, dim=2).flatten(0, 1)
    # NaN times zero is NaN: what takes no part must be zero
    unknown = labels.clamp(0, len(classes) - 1) != labels
    sums = torch.bmm(inside, pixels.masked_fill(unknown, 0.))
    return normalize(sums, dim=2).flatten(0, 1)
