"""Sorting of segments: pixels against the prototypes of segments.

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
    r"""Sort pixels to the segments of their class, away from all others.

    With :math:`s_{ip} = \kappa\, v_i \cdot \mu_p`, the pixel's own segment
    c(i), and :math:`Y_p` the label of a segment:

    .. math::
        L_i = -\log \frac{\sum_{p \in P(i)} \exp s_{ip}}
              {\sum_{p \in P(i)} \exp s_{ip}
              + \sum_{p: Y_p \neq y_i} \exp s_{ip}}

    'same_class': P(i) are the other segments of label y_i, and the own one
    only where there is no other (soft neighbour assignment). 'own': P(i) is
    c(i) alone; segments of the same label are in neither sum.

    Evaluated as softplus(log sum of negatives - log sum of positives): the
    released code subtracts the own term from a sum of exponentials, which
    cancels in float32 once kappa (1 - cos) exceeds about 16. Anchors are
    taken tile by tile, and the backward pass evaluates a tile again for the
    gradient of keys: extra memory does not grow with N * P. A loss that is
    a weighted sum over the pixels takes :func:`segment_sorting_sum`, which
    evaluates a tile once. Keys that need no gradient may be overwritten
    before backward, as a bank is.

    In float32 (float64 stays), autocast off.

    Args:
        anchors: (N, D) pixel embeddings, unit rows.
        anchor_labels: (N,) integer; negative: takes no part, whatever its
            values.
        keys: (P, D) prototypes, or a sequence of :class:`KeyBlock`.
        key_labels: (P,) integer for a tensor of keys, None for blocks.
            Negative: takes no part.
        own_key: (N,) integer, index of the pixel's own segment among the
            keys, counted over all blocks in order; -1 for none.
        concentration: kappa, above 0.
        positives: 'same_class' or 'own'.
        anchor_groups: (N,) integer; with `key_groups` (P,), over all blocks
            in order: a key of the pixel's group, 0 or more, and of another
            label is in neither sum. Stuff of another image, say.
        key_groups: See `anchor_groups`; both or none.

    Returns:
        nll (N,), zero where invalid, and valid (N,) bool: the pixel takes
        part and has a positive.

    Raises:
        ValueError: On wrong shapes, concentration or `positives`.
        TypeError: On labels that are not integers.

    Example:
        >>> prototypes = torch.tensor([[1., 0.], [-1., 0.], [0., 1.]])
        >>> nll, valid = segment_sorting(
        ...     prototypes[:1], torch.tensor([0]), prototypes,
        ...     torch.tensor([0, 0, 1]), own_key=torch.tensor([0]),
        ...     concentration=16.)
        >>> nll  # the released code gives 1.2e-7
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

    The gradients of anchors and keys are made in the forward pass, as the
    loss that follows can only scale the sum: with a gradient for keys it
    takes about half the time of the loss of every pixel.

    Args:
        anchors: (N, D) pixel embeddings, unit rows.
        anchor_labels: (N,) integer, as in :func:`segment_sorting`.
        keys: As in :func:`segment_sorting`.
        key_labels: As in :func:`segment_sorting`.
        own_key: As in :func:`segment_sorting`.
        concentration: kappa, above 0.
        positives: 'same_class' or 'own'.
        anchor_groups: As in :func:`segment_sorting`.
        key_groups: As in :func:`segment_sorting`.
        weights: (N,) weight of each pixel, without gradient; None: 1.

    Returns:
        The weighted sum over valid pixels (), and valid (N,) bool.

    Raises:
        ValueError: On wrong shapes, concentration or `positives`.
        TypeError: On labels that are not integers.

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
    """Return checked anchors, their table, and the rows of each block."""
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
    """Raise unless both or none are given, and fit."""
    if (anchor_groups is None) != (key_groups is None):
        raise ValueError('`anchor_groups` and `key_groups` must be given '
                         'both or not at all, got one')
    if anchor_groups is not None:
        anchor_groups = check_labels(
            'anchor_groups', anchor_groups, anchor_labels.shape)
        key_groups = check_labels('key_groups', key_groups, key_labels.shape)
    return anchor_groups, key_groups
