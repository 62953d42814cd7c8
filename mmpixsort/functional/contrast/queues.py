"""Slots of rows in ring queues, and the rows that enter a class queue.

Shapes: B images, C classes, H W size, D embedding dims, K pixels of one
image and class, N rows, R rings, M slots of a ring.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_labels

from .sampling import sample_classes


def ring_slots(rings: Tensor, written: Tensor,
               capacity: int) -> Tuple[Tensor, Tensor]:
    """Return the slots in which rows are appended to ring queues.

    The k-th row for ring r in this call, counted from 0, goes to slot
    (written_r + k) mod M. If a ring gets more than M rows, only its last M
    rows are kept.

    Args:
        rings: (N,) int64 ring of each row; a row with a number outside
            [0, R) is skipped.
        written: (R,) int64 number of rows that each ring has taken so far.
        capacity: M.

    Returns:
        Position (N,) of each row in the table of all rings: 1 + r * M +
        slot, or 0 for a row that is not kept; and the number of rows (R,)
        for each ring, which includes rows beyond the last M.
    """
    if len(rings) == 0:
        return rings, torch.zeros_like(written)
    number = torch.arange(len(written) + 1, device=rings.device)
    member = rings[:, None] == number[:-1]
    running = member.cumsum(0)
    # the last slot of ring r is at (r + 1) * M, and a remainder by -M counts
    # down from there
    position = (running + written).remainder_(-capacity)
    position.add_(number[1:], alpha=capacity)
    if len(rings) > capacity:
        member &= running > running[-1] - capacity
    return position.mul_(member).amax(1), running[-1]


class QueueRows(NamedTuple):
    """Rows for a class queue with a pixel section and a region section.

    Attributes:
        embeddings: (N, D) unit rows, pixels before regions.
        labels: (N,) int64 classes; -1 for rows that are not used, because a
            class is absent from an image or has fewer than K pixels.
        sections: Number of pixel rows and number of region rows.
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
    """Return the pixels and regions of a batch that enter the memory bank.

    Each class of each image contributes up to K random pixels and one
    region, the normalised mean of all its pixels (Wang et al.,
    https://arxiv.org/abs/2101.11939, section 3.2).

    Args:
        embeddings: (B, D, H, W) unit vectors over D.
        labels: (B, H, W) integer labels; pixels with a label outside [0, C)
            are ignored.
        num_classes: C.
        num_pixels: K.
        generator: Generator of the random draws, on the device of `labels`.

    Returns:
        N = B * C * (K + 1) rows: all pixels ordered by image, class and
        draw, then all regions ordered by image and class.
    """
    labels = check_labels('labels', labels, labels.shape)
    numbers = torch.arange(
        max(num_classes, num_pixels), device=labels.device)
    classes, draws = numbers[:num_classes], numbers[:num_pixels]
    pixel, unused = sample_classes(labels, num_classes, draws, generator)
    pixel_labels = classes[:, None].expand_as(unused).masked_fill(unused, -1)
    region_labels = pixel_labels[..., 0].flatten()
    regions = region_means(embeddings, labels, classes)
    size = labels[0].numel()
    pixel = pixel.flatten()
    pixels = embeddings.flatten(2)[pixel // size, :, pixel % size]
    return QueueRows(
        torch.cat([pixels, regions]),
        torch.cat([pixel_labels.flatten(), region_labels]),
        (pixel.numel(), len(regions)))


def region_means(embeddings: Tensor, labels: Tensor,
                 classes: Tensor) -> Tensor:
    """Return the normalised mean embedding of every class in every image.

    Args:
        embeddings: (B, D, H, W) floating tensor.
        labels: (B, H, W) int64 labels; pixels with a label outside [0, C)
            are ignored, and their embeddings do not matter.
        classes: (C,) int64 numbers from 0 to C - 1.

    Returns:
        (B * C, D) unit rows, zero for absent classes.
    """
    # The sums are matrix products with a mask of each class, which read the
    # embeddings in their memory order. A CPU takes three times as long for
    # a sum by index, which needs them transposed.
    pixels = embeddings.flatten(2).transpose(1, 2)
    labels = labels.flatten(1)[..., None]
    inside = (labels == classes).to(pixels.dtype).transpose(1, 2)
    if pixels.device.type == 'cpu' and not torch.compiler.is_compiling():
        sums = torch.bmm(inside, pixels)
        if sums.isfinite().all():
            return normalize(sums, dim=2).flatten(0, 1)
    # ignored pixels must be zero, because NaN times zero is NaN
    unknown = labels.clamp(0, len(classes) - 1) != labels
    sums = torch.bmm(inside, pixels.masked_fill(unknown, 0.))
    return normalize(sums, dim=2).flatten(0, 1)
