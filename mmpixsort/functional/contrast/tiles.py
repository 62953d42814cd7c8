"""The engine of the contrastive losses: tiles of anchors against all keys.

Shapes: A anchors, a anchors of a tile, K keys, C queues, M slots of a queue,
D embedding dims.

A bank has no gradient, so the gradient with respect to the anchors is the
weighted sum of its rows, and is made while a tile's similarities are at
hand: two matrix products in all, none in backward, nothing of size (A, K)
kept. Tiles run over anchors and not over blocks of keys because one pass
then knows the whole denominator of an anchor, finds its positives in place
and shows a miner all its pairs. The number of similarities held at once is
fixed; in return the keys are read once per tile, which a bank of millions
would feel.
"""
from typing import (Callable, Iterator, List, NamedTuple, Optional, Sequence,
                    Tuple)

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from mmpixsort.structures import KeyBlock

from .keys import OwnKey, pair_masks

# similarities held at once: 16 MB of float32 on a CPU, 1 GB elsewhere
CPU_ELEMENTS = 1 << 22
DEVICE_ELEMENTS = 1 << 28
CAST_ROWS = 1 << 13  # rows of a half precision bank that are cast at once
LOW = -1e30  # logit of a pair that takes no part; finite, so no inf - inf


Miner = Callable[[Tensor, Tensor, Tensor], Tuple[Tensor, Tensor]]


class Settings(NamedTuple):
    """What does not change from tile to tile."""

    temperature: float
    scale: float
    denominator: str
    miner: Optional[Miner]


class Block(NamedTuple):
    """Keys (K, D), their labels as they lie and which are ignored."""

    keys: Tensor
    labels: Tensor
    ignored: Tensor


class Pairs(NamedTuple):
    """The pairs of a tile with one block.

    Attributes:
        negatives: (a, K) logits, `LOW` where the key is no negative.
        positives: (a, P) logits of the candidates for a positive.
        is_positive: (a, P) bool; a row that takes no part has none.
        queue: (a,) the queue that the positives lie in; None when they lie
            in the same columns as the negatives.
    """

    negatives: Tensor
    positives: Tensor
    is_positive: Tensor
    queue: Optional[Tensor]


def contrast_rows(
    anchors: Tensor,
    anchor_labels: Tensor,
    blocks: Sequence[KeyBlock],
    *,
    own_key: OwnKey,
    temperature: float,
    scale: float,
    denominator: str,
    miner: Optional[Miner] = None,
) -> Tuple[Tensor, Tensor]:
    """Return the loss (A,) and valid (A,) of checked, full precision input.

    See :func:`mmpixsort.functional.pixel_contrast` for the arguments.
    """
    settings = Settings(temperature, scale, denominator, miner)
    return _Contrast.apply(anchors, anchor_labels, own_key,
                           [block.labels for block in blocks], settings,
                           *[block.keys for block in blocks])


class _Contrast(torch.autograd.Function):

    @staticmethod
    def forward(ctx, anchors, labels, own_key, tables, settings, *keys):
        """Walk the anchors tile by tile; keep the gradient, not the keys."""
        ignored = labels < 0
        clean = anchors.masked_fill(ignored[:, None], 0.)
        blocks = [
            Block(clean, labels, ignored) if key is anchors and
            table is labels else _block(key, table)
            for key, table in zip(keys, tables)
        ]
        needs = [
            i for i, need in enumerate(ctx.needs_input_grad[5:]) if need
        ]
        scaled = clean / settings.temperature
        parts = []
        for rows in tiles(
                len(labels), sum(t.numel() for t in tables), labels.device):
            loss, valid, weights = _tile(scaled[rows], labels[rows],
                                         _own_rows(own_key, rows), blocks,
                                         settings)
            grad = _total([
                _matmul(weight, block.keys)
                for weight, block in zip(weights, blocks)
            ])
            parts.append((loss, valid, grad, *[weights[i] for i in needs]))
        loss, valid, grad, *weights = map(_cat, zip(*parts))
        ctx.needs = needs
        ctx.joint = [key is anchors for key in keys]
        ctx.shapes = [key.shape for key in keys]
        ctx.temperature = settings.temperature
        ctx.mark_non_differentiable(valid)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(clean, grad, *weights)
        return loss, valid

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss, _):
        """Scale the gradients that the forward pass has made."""
        grad_keys = [None] * len(ctx.joint)
        if grad_loss is None:
            return (None, ) * 5 + tuple(grad_keys)
        clean, grad, *weights = ctx.saved_tensors
        row = grad_loss[:, None] / -ctx.temperature
        grad_anchors = row * grad
        for i, weight in zip(ctx.needs, weights):
            by_row = (weight * row).T
            if ctx.joint[i]:
                grad_anchors = torch.addmm(grad_anchors, by_row, clean)
            else:
                grad_keys[i] = (by_row @ clean).view(ctx.shapes[i])
        return (grad_anchors, None, None, None, None, *grad_keys)


def tiles(num_anchors: int, num_keys: int,
          device: torch.device) -> Iterator[slice]:
    """Cut the anchors so that a tile has a fixed number of similarities.

    Args:
        num_anchors: A.
        num_keys: K.
        device: Device of the similarities. A CPU gains from its cache,
            other devices from few calls.
    """
    elements = CPU_ELEMENTS if device.type == 'cpu' else DEVICE_ELEMENTS
    step = max(1, elements // max(1, num_keys))
    for start in range(0, max(1, num_anchors), step):
        yield slice(start, start + step)


def _own_rows(own_key: OwnKey, rows: slice) -> OwnKey:
    """Return the own keys of a tile."""
    if isinstance(own_key, int):
        return own_key + rows.start
    return None if own_key is None else own_key[rows]


def _total(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts[1:], parts[0])


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _block(keys: Tensor, labels: Tensor) -> Block:
    """Make a block safe: zero weight times NaN would be NaN.

    The unfilled slots of a queue are zeros already.
    """
    ignored = labels < 0
    if keys.dim() == 3:
        return Block(keys.flatten(0, 1), labels, ignored)
    return Block(keys.masked_fill(ignored[:, None], 0.), labels, ignored)


def _matmul(weight: Tensor, keys: Tensor) -> Tensor:
    """Return weight (a, K) @ keys (K, D), casting a half bank by parts."""
    if keys.dtype == weight.dtype:
        return weight @ keys
    return sum(w @ k.to(w.dtype)
               for w, k in zip(weight.split(CAST_ROWS, 1),
                               keys.split(CAST_ROWS)))


def _similarity(anchors: Tensor, keys: Tensor) -> Tensor:
    """Return anchors (a, D) @ keys.T (D, K), casting a half bank by parts."""
    if keys.dtype == anchors.dtype:
        return anchors @ keys.T
    return torch.cat(
        [anchors @ k.to(anchors.dtype).T for k in keys.split(CAST_ROWS)], 1)


def _tile(anchors: Tensor, labels: Tensor, own_key: OwnKey,
          blocks: Sequence[Block],
          settings: Settings) -> Tuple[Tensor, Tensor, List[Tensor]]:
    """Return loss (a,), valid (a,) and the weight (a, K) of every block.

    The weight of a pair is minus the derivative of the loss with respect to
    its logit.
    """
    logits = [_similarity(anchors, block.keys) for block in blocks]
    if settings.miner is not None:
        pairs = [_mined(logits, labels, own_key, blocks, settings.miner)]
    else:
        pairs, offset = [], 0
        for logit, block in zip(logits, blocks):
            split = _split_flat if block.labels.dim() == 1 else _split_queues
            own = None if own_key is None else own_key - offset
            pairs.append(split(logit, labels, own, block))
            offset += block.labels.numel()
    loss, valid, weights = _contrast(pairs, settings)
    if settings.miner is not None:
        weights = weights[0].split([len(block.keys) for block in blocks], 1)
    return loss, valid, weights


def _contrast(pairs: Sequence[Pairs],
              settings: Settings) -> Tuple[Tensor, Tensor, List[Tensor]]:
    """Evaluate the equation on the pairs of a tile with all blocks."""
    supcon = settings.denominator == 'supcon'
    log_denominator = _log_sum_exp(pairs, with_positives=supcon)[:, None]
    count = _total([
        pair.is_positive.sum(1, keepdim=True, dtype=log_denominator.dtype)
        for pair in pairs
    ])
    terms = _supcon if supcon else _per_positive
    loss, pull = zip(*(terms(pair, log_denominator) for pair in pairs))
    valid = count > 0
    share = count.clamp_(min=1).div_(settings.scale)
    pull = [p / share for p in pull]
    push = _total([p.sum(1, keepdim=True) for p in pull])
    weights = [
        _pair_weights(pair, log_denominator, p, push, supcon)
        for pair, p in zip(pairs, pull)
    ]
    return (_total(loss) / share).squeeze(1), valid.squeeze(1), weights


def _log_sum_exp(pairs: Sequence[Pairs], with_positives: bool) -> Tensor:
    """Return the log of the denominator's shared part, (a,)."""
    parts = [pair.negatives.logsumexp(1) for pair in pairs]
    if with_positives:
        parts += [
            pair.positives.masked_fill(~pair.is_positive, LOW).logsumexp(1)
            for pair in pairs
        ]
    if len(parts) == 1:
        return parts[0]
    return torch.stack(parts).logsumexp(0)


def _per_positive(pair: Pairs,
                  log_negatives: Tensor) -> Tuple[Tensor, Tensor]:
    """-log(e^p / (e^p + sum e^n)) = softplus(log sum e^n - p), by row.

    Returns:
        The sum over the positives (a, 1) and minus its derivative with
        respect to each p (a, P).
    """
    margin = log_negatives - pair.positives
    margin.masked_fill_(~pair.is_positive, LOW)
    return softplus(margin, threshold=40.).sum(1, keepdim=True), (
        margin.sigmoid())


def _supcon(pair: Pairs, log_all: Tensor) -> Tuple[Tensor, Tensor]:
    """-log(e^p / sum over all other keys) = log sum - p, by row."""
    margin = log_all - pair.positives
    margin.masked_fill_(~pair.is_positive, 0.)
    return margin.sum(1, keepdim=True), pair.is_positive.to(margin.dtype)


def _pair_weights(pair: Pairs, log_denominator: Tensor, pull: Tensor,
                  push: Tensor, supcon: bool) -> Tensor:
    """Join the pull of the positives and the push of the denominator."""
    if supcon:
        share = (pair.positives - log_denominator).exp_()
        pull = pull - share.masked_fill_(~pair.is_positive, 0.) * push
    share = pair.negatives.sub_(log_denominator).exp_()
    if pair.queue is None:
        return pull.addcmul_(share, push, value=-1)
    weight = share.mul_(-push)
    cube = weight.unflatten(1, (-1, pull.shape[1]))
    row = torch.arange(len(weight), device=weight.device)
    cube[row, pair.queue] += pull
    return weight


def _split_flat(logits: Tensor, labels: Tensor, own_key: OwnKey,
                block: Block) -> Pairs:
    """Return the pairs with flat keys."""
    positive, excluded = pair_masks(labels, own_key, block.labels,
                                    block.ignored)
    return Pairs(logits.masked_fill(excluded, LOW), logits, positive, None)


def _split_queues(logits: Tensor, labels: Tensor, own_key: OwnKey,
                  block: Block) -> Pairs:
    """Return the pairs with queues: the own queue is cut out as it lies."""
    num_queues, num_slots = block.labels.shape
    cube = logits.view(len(logits), num_queues, num_slots)
    row = torch.arange(len(logits), device=logits.device)
    queue = labels.clamp(0, num_queues - 1)
    holds = (queue == labels)[:, None]
    positives = cube[row, queue]
    positive = holds > block.ignored[queue]
    if own_key is not None:
        own = row + own_key if isinstance(own_key, int) else own_key
        slot = torch.arange(num_slots, device=logits.device)
        positive &= (own - queue * num_slots)[:, None] != slot
    cube.masked_fill_(block.ignored, LOW)
    cube[row, queue] = cube[row, queue].masked_fill_(holds, LOW)
    return Pairs(logits, positives, positive, queue)


def _mined(logits: Sequence[Tensor], labels: Tensor, own_key: OwnKey,
           blocks: Sequence[Block], miner: Miner) -> Pairs:
    """Return the pairs that a miner leaves, all blocks side by side."""
    positive, excluded = pair_masks(
        labels, own_key, torch.cat([b.labels.flatten() for b in blocks]),
        torch.cat([b.ignored.flatten() for b in blocks]))
    joint = torch.cat(list(logits), 1)
    positive, negative = miner(joint, positive, ~excluded)
    return Pairs(joint.masked_fill(~negative, LOW), joint, positive, None)
