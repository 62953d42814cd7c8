"""Segment sorting: the loss of pixels against prototypes of segments.

Shapes: N pixels, n pixels of a tile, P prototypes, D embedding dims.

Hwang et al., "SegSort: Segmentation by Discriminative Sorting of Segments",
ICCV 2019, https://arxiv.org/abs/1910.06962, section 3.2.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_labels,
                                         check_positive, check_rows)
from mmpixsort.functional.contrast.keys import Keys, as_blocks
from mmpixsort.functional.precision import autocast_off

from .sorting_tiles import PixelLoss, Table, WeightedSum

POSITIVES = ('same_class', 'own')


def segment_sorting(
    anchors: Tensor,
    anchor_labels: Tensor,
    keys: Keys,
    key_labels: Optional[Tensor] = None,
    *,
    own_key: Tensor,
    concentration: float,
    positives: str = 'same_class',
    anchor_groups: Optional[Tensor] = None,
    key_groups: Optional[Tensor] = None,
) -> Tuple[Tensor, Tensor]:
    r"""Pull pixels towards segments of their class and away from others.

    With the similarities :math:`s_{ip} = \kappa\, v_i \cdot \mu_p` of pixel
    i and the prototype of segment p, and with the labels :math:`y_i` of the
    pixel and :math:`Y_p` of the segment, the loss is

    .. math::
        L_i = -\log \frac{\sum_{p \in P(i)} \exp s_{ip}}
              {\sum_{p \in P(i)} \exp s_{ip}
              + \sum_{p: Y_p \neq y_i} \exp s_{ip}}

    With the positives 'same_class', P(i) are the other segments with the
    label y_i, or the pixel's own segment if there is no other (soft neighbour
    assignment). With 'own', P(i) is only the pixel's own segment, and other
    segments of the same label are in neither sum.

    Anchors are evaluated tile by tile, and again in backward if keys require
    a gradient, so extra memory does not grow with N * P. If the loss is a
    weighted sum over pixels, use :func:`segment_sorting_sum`, which evaluates
    each tile once. Keys, such as those of a bank, may be overwritten before
    backward.

    The loss is computed as softplus(log sum of negatives - log sum of
    positives), in float32, or in float64 for float64 anchors, with autocast
    off. The authors' released code subtracts the own term from a sum of
    exponentials, which loses all digits in float32 if kappa (1 - cos)
    exceeds about 16.

    Args:
        anchors: (N, D) pixel embeddings, unit rows.
        anchor_labels: (N,) integer labels of the pixels. Pixels with a
            negative label are ignored, and their values do not matter.
        keys: (P, D) prototypes, or a sequence of :class:`KeyBlock`.
        key_labels: (P,) integer labels of a tensor of keys; None for blocks,
            which carry their labels. Keys with a negative label are ignored.
        own_key: (N,) integer index of the pixel's own segment among the
            keys, counted over all blocks in order; -1 where there is none.
        concentration: kappa, above 0.
        positives: 'same_class' or 'own'.
        anchor_groups: (N,) integer groups of the pixels. A key of the same
            group, 0 or more, is not a negative of a pixel. An example is
            stuff of the same class in another image. None: no groups.
        key_groups: (P,) integer groups of the keys of all blocks in order;
            must be given together with `anchor_groups`.

    Returns:
        Negative log-likelihood (N,), zero for pixels that are not valid, and
        the mask (N,) of valid pixels, which are not ignored and have a
        positive.

    Raises:
        ValueError: If a shape, the concentration or `positives` is wrong.
        TypeError: If labels are not integers.

    Example:
        >>> prototypes = torch.tensor([[1., 0.], [-1., 0.], [0., 1.]])
        >>> nll, valid = segment_sorting(
        ...     prototypes[:1], torch.tensor([0]), prototypes,
        ...     torch.tensor([0, 0, 1]), own_key=torch.tensor([0]),
        ...     concentration=16.)
        >>> nll  # the authors' released code returns 1.2e-7
        tensor([16.])
    """
    prepared = _prepare(
        anchors, anchor_labels, keys, key_labels, own_key=own_key,
        concentration=concentration, positives=positives,
        anchor_groups=anchor_groups, key_groups=key_groups)
    with autocast_off(anchors.device):
        return PixelLoss.apply(*prepared)


def segment_sorting_sum(
    anchors: Tensor,
    anchor_labels: Tensor,
    keys: Keys,
    key_labels: Optional[Tensor] = None,
    *,
    own_key: Tensor,
    concentration: float,
    positives: str = 'same_class',
    anchor_groups: Optional[Tensor] = None,
    key_groups: Optional[Tensor] = None,
    weights: Optional[Tensor] = None,
) -> Tuple[Tensor, Tensor]:
    """Sum the losses of :func:`segment_sorting` over the pixels.

    If keys require a gradient, it takes about half the time of
    :func:`segment_sorting`. Backward can only scale the gradients of a sum,
    so they are complete after the forward pass.

    Args:
        anchors: (N, D) pixel embeddings, unit rows.
        anchor_labels: (N,) integer labels of the pixels.
        keys: (P, D) prototypes, or a sequence of :class:`KeyBlock`.
        key_labels: (P,) integer labels of a tensor of keys.
        own_key: (N,) integer index of the pixel's own segment.
        concentration: kappa, above 0.
        positives: 'same_class' or 'own'.
        anchor_groups: (N,) integer groups of the pixels.
        key_groups: (P,) integer groups of the keys.
        weights: (N,) weight of each pixel, used without a gradient; None: 1.

    Returns:
        Weighted sum () of the losses, and the mask (N,) of valid pixels.

    Raises:
        ValueError: If a shape, the concentration or `positives` is wrong.
        TypeError: If labels are not integers.

    Example:
        >>> labels = torch.tensor([0, 1])
        >>> total, valid = segment_sorting_sum(
        ...     torch.eye(2), labels, torch.eye(2), labels, own_key=labels,
        ...     concentration=1.)
        >>> total
        tensor(0.6265)
    """
    anchors, table, *rows = _prepare(
        anchors, anchor_labels, keys, key_labels, own_key=own_key,
        concentration=concentration, positives=positives,
        anchor_groups=anchor_groups, key_groups=key_groups)
    if weights is not None:
        if weights.shape != anchors.shape[:1]:
            raise ValueError(
                f'`weights` must have shape ({len(anchors)},), one for each '
                f'anchor, got {tuple(weights.shape)}')
        weights = weights.detach().to(anchors.dtype)
    with autocast_off(anchors.device):
        return WeightedSum.apply(anchors, weights, table, *rows)


def _prepare(anchors: Tensor, anchor_labels: Tensor, keys: Keys,
             key_labels: Optional[Tensor], *, own_key: Tensor,
             concentration: float, positives: str,
             anchor_groups: Optional[Tensor],
             key_groups: Optional[Tensor]) -> Tuple:
    """Check the arguments and return anchors, table and keys of each block."""
    anchor_labels = check_rows('anchors', anchors, anchor_labels)
    check_positive('concentration', concentration)
    check_choice('positives', positives, POSITIVES)
    own_key = check_labels('own_key', own_key, anchor_labels.shape)
    blocks = as_blocks(keys, key_labels, embed_dims=anchors.shape[1])
    labels = torch.cat([block.labels.flatten() for block in blocks])
    groups = _check_groups(anchor_groups, key_groups, anchor_labels, labels)
    dtype = torch.float64 if anchors.dtype == torch.float64 else torch.float32
    table = Table(labels, anchor_labels, own_key, positives == 'own', *groups,
                  concentration=concentration)
    # reshape makes another tensor of keys that are the anchors themselves:
    # torch.compile refuses a function that gets one tensor twice
    return (anchors.to(dtype), table, *(
        block.keys.reshape(-1, anchors.shape[1]).to(dtype)
        for block in blocks))


def _check_groups(anchor_groups: Optional[Tensor],
                  key_groups: Optional[Tensor], anchor_labels: Tensor,
                  key_labels: Tensor) -> tuple:
    """Check that both or neither are given and return them as int64."""
    if (anchor_groups is None) != (key_groups is None):
        raise ValueError('`anchor_groups` and `key_groups` must be given '
                         'together or not at all, got one of them')
    if anchor_groups is not None:
        anchor_groups = check_labels(
            'anchor_groups', anchor_groups, anchor_labels.shape)
        key_groups = check_labels('key_groups', key_groups, key_labels.shape)
    return anchor_groups, key_groups
