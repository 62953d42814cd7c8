"""Evaluation of segment sorting by tiles of pixels against all prototypes.

Shapes: N pixels, n pixels of a tile, P prototypes, D embedding dims.

See :mod:`mmpixsort.functional.segments.sorting` for the equation. A tile has
a bounded number of similarities. Its weights (n, P) are the derivatives of
the losses with respect to the logits. They give the gradients
weights @ keys of the anchors and weights.T @ anchors of the keys.
"""
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from mmpixsort.functional.contrast.keys import zero_ignored
from mmpixsort.functional.contrast.tiles import FLOOR, LOW, tiles

# Up to this concentration both sums of a pixel use the same exponentials:
# those of unit rows are at least exp(-2 * 16), far above exp(FLOOR).
SHARED_CONCENTRATION = 16.


class Table(NamedTuple):
    """Labels, groups and options that decide which pairs are compared.

    Attributes:
        key_labels: (P,) labels of the keys, negative for ignored keys.
        labels: (N,) labels of the pixels, negative for ignored pixels.
        own_key: (N,) key of each pixel's own segment, -1 for none.
        own_only: Whether only the own segment is a positive.
        groups: (N,) groups of the pixels; None: there are no groups.
        key_groups: (P,) groups of the keys.
        concentration: kappa.
    """

    key_labels: Tensor
    labels: Tensor
    own_key: Tensor
    own_only: bool
    groups: Optional[Tensor]
    key_groups: Optional[Tensor]
    concentration: float


class Tile(NamedTuple):
    """Loss and derivatives of the pixels of a tile.

    Attributes:
        loss: (n, 1) loss, zero where `valid` is False.
        valid: (n, 1) bool, True for pixels with a loss.
        weights: (n, P) derivative of the loss with respect to the logits.
    """

    loss: Tensor
    valid: Tensor
    weights: Tensor


class WeightedSum(torch.autograd.Function):
    """Sum of the losses, whose gradients are computed in the forward pass."""

    @staticmethod
    def forward(ctx, anchors, weights, table, *blocks):
        """Return the weighted sum () and the mask (N,) of valid pixels."""
        clean, keys, spans = _clean(ctx, anchors, table, blocks, first=3)
        scaled = clean * table.concentration
        grad_keys = [torch.zeros_like(keys[span]) for span in spans]
        parts = []
        for rows in _tiles(table):
            share = None if weights is None else weights[rows, None]
            tile = _tile(scaled[rows], keys, table, rows, share)
            total = tile.loss if share is None else tile.loss * share
            for grad, span in zip(grad_keys, spans):
                grad.addmm_(tile.weights[:, span].T, scaled[rows])
            parts.append((total, tile.valid, tile.weights @ keys))
        loss, valid, grad = map(_cat, zip(*parts))
        ctx.mark_non_differentiable(valid)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad.mul_(table.concentration), *grad_keys)
        return loss.sum(), valid.squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_total, _):
        """Scale the gradients."""
        grads: List[Optional[Tensor]] = [None] * ctx.num_blocks
        if grad_total is None:
            return (None, None, None, *grads)
        grad, *grad_keys = ctx.saved_tensors
        for i, part in zip(ctx.needs, grad_keys):
            grads[i] = part * grad_total
        return (grad * grad_total, None, None, *grads)


class PixelLoss(torch.autograd.Function):
    """Loss of every pixel, evaluated again in backward for the keys."""

    @staticmethod
    def forward(ctx, anchors, table, *blocks):
        """Return the loss (N,) and the mask (N,) of valid pixels."""
        clean, keys, spans = _clean(ctx, anchors, table, blocks, first=2)
        scaled = clean * table.concentration
        parts = []
        for rows in _tiles(table):
            tile = _tile(scaled[rows], keys, table, rows)
            parts.append((tile.loss, tile.valid, tile.weights @ keys))
        loss, valid, grad = map(_cat, zip(*parts))
        valid = valid.squeeze(1)
        ctx.table, ctx.spans = table, spans
        ctx.mark_non_differentiable(valid)
        ctx.set_materialize_grads(False)
        # `keys` is a copy, so a bank may be overwritten before backward
        ctx.save_for_backward(clean, grad, *([keys] if spans else []))
        return loss.squeeze(1), valid

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss, _):
        """Scale the gradient of the anchors and compute that of the keys."""
        grads: List[Optional[Tensor]] = [None] * ctx.num_blocks
        if grad_loss is None:
            return (None, None, *grads)
        clean, grad, *keys = ctx.saved_tensors
        table, row = ctx.table, grad_loss[:, None]
        if ctx.spans:
            keys, scaled = keys[0], clean * table.concentration
            sums = [torch.zeros_like(keys[span]) for span in ctx.spans]
            for rows in _tiles(table):
                weights = _tile(
                    scaled[rows], keys, table, rows, row[rows]).weights
                for part, span in zip(sums, ctx.spans):
                    part.addmm_(weights[:, span].T, scaled[rows])
            for i, part in zip(ctx.needs, sums):
                grads[i] = part
        return (row * grad * table.concentration, None, *grads)


def _clean(ctx, anchors: Tensor, table: Table, blocks: Sequence[Tensor],
           first: int) -> Tuple[Tensor, Tensor, List[slice]]:
    """Join the blocks and set ignored anchors and keys to zero.

    Args:
        ctx: Context of the function; it gets the number of blocks and the
            indices of the blocks that require a gradient.
        anchors: (N, D) pixel embeddings.
        table: Labels, groups and options.
        blocks: Keys (K, D) of every block.
        first: Index of the first block among the inputs of the function.

    Returns:
        Anchors (N, D), keys (P, D), and a slice of the keys for each block
        that requires a gradient.
    """
    ctx.num_blocks = len(blocks)
    ctx.needs = [
        i for i, need in enumerate(ctx.needs_input_grad[first:]) if need
    ]
    starts = [0]
    for block in blocks:
        starts.append(starts[-1] + len(block))
    keys = zero_ignored(_cat(blocks), table.key_labels)
    return (zero_ignored(anchors, table.labels), keys,
            [slice(starts[i], starts[i + 1]) for i in ctx.needs])


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _tiles(table: Table) -> Iterator[slice]:
    """Yield slices of pixels, one per tile."""
    return tiles(len(table.labels), len(table.key_labels),
                 table.labels.device)


def _tile(scaled: Tensor, keys: Tensor, table: Table, rows: slice,
          share: Optional[Tensor] = None) -> Tile:
    """Return loss and derivatives of the pixels of a tile.

    Args:
        scaled: (n, D) anchors times kappa.
        keys: (P, D) keys, zero where ignored.
        table: Labels, groups and options.
        rows: Slice of the pixels of the tile.
        share: (n, 1) factor of the derivatives of each pixel; None: 1.
    """
    if table.concentration <= SHARED_CONCENTRATION:
        return _one_exponential(scaled, keys, table, rows, share)
    return _two_softmaxes(scaled, keys, table, rows, share)


def _one_exponential(scaled: Tensor, keys: Tensor, table: Table, rows: slice,
                     share: Optional[Tensor]) -> Tile:
    """Evaluate a tile by sums of exp(s - kappa), which lie in (0, 1].

    Each similarity needs one exponential, but kappa must be small.
    """
    labels, own = table.labels[rows, None], table.own_key[rows, None]
    takes_part = table.key_labels >= 0
    bias = torch.where(takes_part, -table.concentration, FLOOR)
    terms = torch.addmm(bias.to(scaled), scaled, keys.T).exp_()
    same = (labels == table.key_labels).to(terms.dtype)
    # the own term is handled separately; a pixel may have no own key
    column = own.clamp(min=0)
    owned = (own >= 0) & (same.gather(1, column) > 0) & (labels >= 0)
    own_term = terms.gather(1, column)
    terms.scatter_(1, column, torch.where(owned, 0., own_term))
    others = terms * same
    negatives = terms.sub_(others)
    if table.groups is not None:
        negatives.masked_fill_(_left_alone(table, rows), 0.)
    below = negatives.sum(1, keepdim=True)
    if table.own_only:
        above, alone = own_term, owned
        valid = owned
    else:
        above = others.sum(1, keepdim=True)
        alone = (above == 0) & owned
        valid = (alone | (above > 0)) & (labels >= 0)
        above = torch.where(alone, own_term, above)
    # without a positive, any finite number that is not used
    above = torch.where(valid, above, 1.)
    margin = (below / above).log()
    loss = softplus(margin, threshold=40.).masked_fill(~valid, 0.)
    pull = margin.sigmoid().masked_fill(~valid, 0.)
    if share is not None:
        pull = pull * share
    weights = negatives.mul_(
        pull / below.clamp(min=torch.finfo(below.dtype).tiny))
    if not table.own_only:
        weights.addcmul_(others, pull / above, value=-1)
    weights.scatter_add_(1, column, torch.where(alone, -pull, 0.))
    return Tile(loss, valid, weights)


def _two_softmaxes(scaled: Tensor, keys: Tensor, table: Table, rows: slice,
                   share: Optional[Tensor]) -> Tile:
    """Evaluate a tile by two softmaxes, of the positives and the negatives.

    It is stable for every kappa, because each has its own maximum.
    """
    logits = scaled @ keys.T
    positive, negative = _pairs(table, rows)
    valid = positive.any(1, keepdim=True)
    log_positive, pull = _masked_softmax(logits.clone(), positive)
    log_negative, weights = _masked_softmax(logits, negative)
    margin = (log_negative - log_positive).masked_fill_(~valid, LOW)
    weights = weights.sub_(pull).mul_(margin.sigmoid())
    if share is not None:
        weights.mul_(share)
    return Tile(softplus(margin, threshold=40.), valid, weights)


def _masked_softmax(logits: Tensor, mask: Tensor) -> Tuple[Tensor, Tensor]:
    """Return log-sum-exp (n, 1) and softmax (n, P) over the pairs of a mask.

    `logits` is overwritten. Both results use the same exponentials. None of
    these has a large negative argument, which would be slow on a CPU. The
    results of a row without a pair are about LOW, and zeros.
    """
    excluded = ~mask
    logits.masked_fill_(excluded, LOW)
    top = logits.amax(1, keepdim=True)
    shares = logits.sub_(top).clamp_(min=FLOOR).exp_()
    total = shares.masked_fill_(excluded, 0.).sum(1, keepdim=True)
    # the sum is at least 1, or 0 if there is no pair
    total = total.clamp_(min=1.)
    return top + total.log(), shares.div_(total)


def _left_alone(table: Table, rows: slice) -> Tensor:
    """Return a mask (n, P) of the pairs in the same group."""
    groups = table.groups[rows, None]
    return (groups == table.key_groups) & (groups >= 0)


def _pairs(table: Table, rows: slice) -> Tuple[Tensor, Tensor]:
    """Return the masks (n, P) of positives and of negatives."""
    labels = table.labels[rows, None]
    takes_part = (table.key_labels >= 0) & (labels >= 0)
    same = (labels == table.key_labels) & takes_part
    negative = takes_part > same
    if table.groups is not None:
        negative &= ~_left_alone(table, rows)
    column = torch.arange(len(table.key_labels), device=labels.device)
    own = (table.own_key[rows, None] == column) & same
    if table.own_only:
        return own, negative
    others = same > own
    return torch.where(others.any(1, keepdim=True), others, own), negative
