"""Sorting of segments: pixels against the prototypes of segments.

Shapes: N pixels, n pixels of a tile, P prototypes, D embedding dims.

Hwang et al., "SegSort: Segmentation by Discriminative Sorting of Segments",
ICCV 2019, https://arxiv.org/abs/1910.06962, section 3.2.
"""
from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from mmpixsort.functional.checks import (check_choice, check_labels,
                                         check_positive, check_rows)
from mmpixsort.functional.contrast.keys import Keys, as_blocks, zero_ignored
from mmpixsort.functional.contrast.tiles import LOW, tiles
from mmpixsort.structures import KeyBlock

# of an exponent: exp(-80) adds nothing, and below it a CPU takes ten times as
# long
FLOOR = -80.

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
    taken tile by tile, and the backward pass evaluates a tile again: extra
    memory does not grow with N * P. Keys that need no gradient may be
    overwritten before backward, as a bank is.

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
    anchor_labels = check_rows('anchors', anchors, anchor_labels)
    check_positive('concentration', concentration)
    check_choice('positives', positives, POSITIVES)
    own_key = check_labels('own_key', own_key, anchor_labels.shape)
    blocks = as_blocks(keys, key_labels, embed_dims=anchors.shape[1])
    labels = torch.cat([block.labels.flatten() for block in blocks])
    groups = _check_groups(anchor_groups, key_groups, anchor_labels, labels)
    with torch.autocast(anchors.device.type, enabled=False):
        if anchors.dtype != torch.float64:
            anchors = anchors.float()
        rows = [_rows(block, anchors.dtype) for block in blocks]
        table = Table(labels, anchor_labels, own_key,
                      positives == 'own', *groups)
        return _SegmentSorting.apply(anchors, table, concentration, *rows)


class Table(NamedTuple):
    """What relates pixels to keys.

    Attributes:
        key_labels: (P,).
        labels: (N,) of the pixels.
        own_key: (N,).
        own_only: Whether only the own segment is a positive.
        groups: (N,) of the pixels; None: there are no groups.
        key_groups: (P,).
    """

    key_labels: Tensor
    labels: Tensor
    own_key: Tensor
    own_only: bool
    groups: Optional[Tensor]
    key_groups: Optional[Tensor]


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


def _rows(block: KeyBlock, dtype: torch.dtype) -> Tensor:
    """Return the keys of a block as safe rows of the anchors' precision."""
    rows, labels = block.keys.flatten(0, -2), block.labels.flatten()
    return zero_ignored(rows.to(dtype), labels)


class _SegmentSorting(torch.autograd.Function):

    @staticmethod
    def forward(ctx, anchors, table, concentration, *keys):
        """Keep the gradient of the anchors, and what makes that of keys."""
        clean = zero_ignored(anchors, table.labels)
        scaled = clean * concentration
        parts = []
        for rows in tiles(len(clean), len(table.key_labels)):
            loss, valid, weights = _tile(scaled[rows], keys, table, rows)
            grad = sum(w @ k for w, k in zip(weights, keys))
            parts.append((loss, valid, grad))
        loss, valid, grad = map(torch.cat, zip(*parts))
        needs = [i for i, need in enumerate(ctx.needs_input_grad[3:]) if need]
        ctx.needs, ctx.num_blocks = needs, len(keys)
        ctx.concentration, ctx.table = concentration, table
        ctx.mark_non_differentiable(valid)
        ctx.set_materialize_grads(False)
        # a block without gradient is seen again only where another needs it;
        # it is a copy, so that its bank may be overwritten
        ctx.save_for_backward(clean, grad, *(keys if needs else ()))
        return loss, valid

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss, _):
        """Scale the gradient of the anchors; evaluate tiles for the keys."""
        grad_keys: List[Optional[Tensor]] = [None] * ctx.num_blocks
        if grad_loss is None:
            return (None, None, None, *grad_keys)
        clean, grad, *keys = ctx.saved_tensors
        row = grad_loss[:, None] * ctx.concentration
        if ctx.needs:
            grad_keys = _grad_keys(ctx, clean, keys, row)
        return (row * grad, None, None, *grad_keys)


def _grad_keys(ctx, clean: Tensor, keys: Sequence[Tensor],
               row: Tensor) -> List[Optional[Tensor]]:
    """Return the gradient (P, D) of the blocks that need one."""
    sums = [
        torch.zeros_like(key) if i in ctx.needs else None
        for i, key in enumerate(keys)
    ]
    scaled = clean * ctx.concentration
    for rows in tiles(len(clean), len(ctx.table.key_labels)):
        *_, weights = _tile(scaled[rows], keys, ctx.table, rows)
        for i in ctx.needs:
            sums[i] += (weights[i] * row[rows]).T @ clean[rows]
    return sums


def _tile(anchors: Tensor, keys: Sequence[Tensor], table: Table,
          rows: slice) -> Tuple[Tensor, Tensor, Sequence[Tensor]]:
    """Evaluate the equation on a tile.

    Returns:
        Loss (n,), valid (n,), and the derivative of the loss with respect
        to the logits of every block (n, P).
    """
    logits = torch.cat([anchors @ key.T for key in keys], 1)
    positive, negative = _pairs(table, rows)
    valid = positive.any(1)
    log_positive, share = _masked_softmax(logits.clone(), positive)
    log_negative, weights = _masked_softmax(logits, negative)
    margin = log_negative - log_positive
    margin = margin.masked_fill_(~valid[:, None], LOW)
    weights = weights.sub_(share).mul_(margin.sigmoid())
    loss = softplus(margin, threshold=40.)[:, 0]
    return loss, valid, weights.split([len(key) for key in keys], 1)


def _masked_softmax(logits: Tensor, mask: Tensor) -> Tuple[Tensor, Tensor]:
    """Return log-sum-exp (n, 1) and softmax (n, P) where the mask holds.

    Overwrites `logits`. One exponential for both, never of a large negative
    number, as logsumexp would take of those that the mask leaves out. A row
    without any has about LOW, and zeros.
    """
    excluded = ~mask
    logits.masked_fill_(excluded, LOW)
    top = logits.amax(1, keepdim=True)
    shares = logits.sub_(top).clamp_(min=FLOOR).exp_()
    total = shares.masked_fill_(excluded, 0.).sum(1, keepdim=True)
    # 1 or more, unless there is none
    total = total.clamp_(min=1.)
    return top + total.log(), shares.div_(total)


def _pairs(table: Table, rows: slice) -> Tuple[Tensor, Tensor]:
    """Return masks (n, P) of positives and negatives."""
    labels = table.labels[rows, None]
    takes_part = (table.key_labels >= 0) & (labels >= 0)
    same = (labels == table.key_labels) & takes_part
    negative = takes_part > same
    if table.groups is not None:
        groups = table.groups[rows, None]
        negative &= (groups != table.key_groups) | (groups < 0)
    column = torch.arange(len(table.key_labels), device=labels.device)
    own = (table.own_key[rows, None] == column) & same
    if table.own_only:
        return own, negative
    others = same > own
    return torch.where(others.any(1, keepdim=True), others, own), negative
