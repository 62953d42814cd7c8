"""Squared hinges of the discriminative loss for masks that may overlap.

Shapes: B images, D embedding dims, N pixels, M masks of an image.
"""
from typing import Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_choice, check_count

from .hinge import Hinges
from .slots import Slots

OVERLAPS = ('all', 'nearest')


def overlap_hinges(embeddings: Tensor, masks: Tensor, *, margin: float,
                   distance: str, overlap: str,
                   min_pixels: int) -> Tuple[Slots, Hinges]:
    """Compute the means and squared hinges of instances given as masks.

    It does the same as :func:`instance_hinges`, with one slot per mask. It
    needs memory for a few tensors of B * M * N numbers.

    Args:
        embeddings: (B, D, N) embeddings, unit vectors for 'cosine'. Pixels
            that no mask covers may hold any values, even NaN.
        masks: (B, M, N) bool masks of the instances.
        margin: delta, the distance to the mean up to which a pixel is not
            penalised.
        distance: 'l2', 'l1' or 'cosine'.
        overlap: Masks to which a pixel contributes a hinge: 'all' masks that
            cover it, or only the one with the 'nearest' mean.
        min_pixels: Minimum area of a mask in pixels; smaller ones are
            ignored.

    Returns:
        Slots of the masks, and their means and hinges.

    Raises:
        ValueError: If an option is out of range.
    """
    check_choice('overlap', overlap, OVERLAPS)
    check_count('min_pixels', min_pixels)
    areas = masks.sum(2).to(embeddings.dtype)
    valid = areas >= min_pixels
    masks = masks & valid[:, :, None]
    points = embeddings.masked_fill(~masks.any(1)[:, None], 0.)
    means = points @ masks.transpose(1, 2).to(points.dtype)
    areas = areas.clamp(min=1)
    means = means / areas[:, None]
    means = means.masked_fill(~valid[:, None], 0.)
    if distance == 'cosine':
        means = normalize(means, dim=1)
    lengths = _lengths(points, means, distance)
    owned = masks
    if overlap == 'nearest' and masks.shape[1]:
        nearest = lengths.masked_fill(~masks, torch.inf).argmin(1)
        owned = masks & (nearest[:, None] == torch.arange(
            masks.shape[1], device=masks.device)[:, None])
    hinge = (lengths - margin).clamp(min=0).masked_fill(~owned, 0.)
    return (Slots(None, areas, valid),
            Hinges(means, hinge.square().sum(2), hinge.count_nonzero((1, 2))))


def _lengths(points: Tensor, means: Tensor, distance: str) -> Tensor:
    """Return distances (B, M, N) of points (B, D, N) to means (B, D, M)."""
    if distance == 'cosine':
        return 1 - means.transpose(1, 2) @ points
    return torch.cdist(
        means.transpose(1, 2), points.transpose(1, 2),
        p=1 if distance == 'l1' else 2,
        compute_mode='donot_use_mm_for_euclid_dist')
