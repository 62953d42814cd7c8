"""The engine of the contrastive losses: tiles of anchors against all keys.

Shapes: A anchors, a anchors of a tile, K keys, C queues, M slots of a queue,
D embedding dims.

A bank has no gradient, so the gradient with respect to the anchors is the
weighted sum of its rows, and is made while a tile's similarities are at
hand: two matrix products in all, none in backward, nothing of size (A, K)
kept. Tiles run over anchors and not over blocks of keys because one pass
then knows the whole denominator of an anchor, finds its positives in place
and shows a miner all its pairs. The number of similarities held at once is
bounded; in return the keys are read once per tile, which a bank of millions
would feel.

Masks are factors of 0 and 1 of the type of the similarities, which a CPU
multiplies several times as fast as it looks up boolean ones.
"""
from typing import (Callable, Iterator, List, NamedTuple, Optional, Sequence,
                    Tuple)

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from mmpixsort.structures import KeyBlock

from .keys import OwnKey, pair_masks

# Similarities held at once: a tile stays in the cache of a CPU (1 MB of
# float32) where it has rows enough for a fast product; with more keys it
# takes 32 MB. Elsewhere few calls count: 1 GB.
CACHE_ELEMENTS = 1 << 18
CPU_ELEMENTS = 1 << 23
CPU_ROWS = 64
DEVICE_ELEMENTS = 1 << 28
CAST_ROWS = 1 << 13  # rows of a half precision bank that are cast at once
NO_LABEL = -1 << 62  # of an anchor that takes no part
LOW = -1e30  # logit of a pair that takes no part; finite, so no inf - inf
# Exponent of what takes no part: exp(-60) adds nothing to a sum whose largest
# term is 1, and what a gradient makes of it is no denormal number, which takes
# a CPU ten times as long, as exp(-100) does.
FLOOR = -60.


Miner = Callable[[Tensor, Tensor, Tensor], Tuple[Tensor, Tensor]]


class Settings(NamedTuple):
    """What does not change from tile to tile."""

    temperature: float
    scale: float
    denominator: str
    miner: Optional[Miner]


class Block(NamedTuple):
    """Keys of a block as the tiles take them.

    Attributes:
        keys: (K, D), zero where ignored.
        labels: (K,) or (C, M), as they lie.
        ignored: As `labels`, 1 where a key takes no part, else 0.
    """

    keys: Tensor
    labels: Tensor
    ignored: Tensor


class Pairs(NamedTuple):
    """The pairs of a tile with one block.

    Attributes:
        negatives: (a, K) logits, `LOW` where the key is no negative.
        positives: (a, P) logits of the candidates for a positive.
        is_positive: (a, P), 1 or 0; a row that takes no part has none.
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
    tables, keys = _other(anchors, anchor_labels, blocks)
    return _Contrast.apply(
        anchors, anchor_labels, own_key, tables, settings, *keys)


def contrast_sum(
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
    """Return the sum () of the losses and valid (A,).

    All gradients are made in the forward pass.
    """
    settings = Settings(temperature, scale, denominator, miner)
    tables, keys = _other(anchors, anchor_labels, blocks)
    return _ContrastSum.apply(
        anchors, anchor_labels, own_key, tables, settings, *keys)


def _other(anchors: Tensor, labels: Tensor,
           blocks: Sequence[KeyBlock]) -> Tuple[list, list]:
    """Return labels and keys of blocks, None where they are the anchors'.

    `torch.compile` refuses a function that gets one tensor twice.
    """
    return ([None if block.labels is labels else block.labels
             for block in blocks],
            [None if block.keys is anchors else block.keys
             for block in blocks])


class _Contrast(torch.autograd.Function):

    @staticmethod
    def forward(ctx, anchors, labels, own_key, tables, settings, *keys):
        """Walk the anchors tile by tile; keep the gradient, not the keys."""
        clean, labels, blocks = _clean(anchors, labels, tables, keys)
        needs = _which_need_gradients(ctx.needs_input_grad, keys)
        scaled = clean / settings.temperature
        parts = []
        for rows in tiles(len(labels), _num_keys(blocks), labels.device):
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
        ctx.joint = [key is None for key in keys]
        ctx.shapes = [None if key is None else key.shape for key in keys]
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
        row = grad_loss[:, None]
        grad_anchors = row * grad
        for i, weight in zip(ctx.needs, weights):
            by_row = (weight * row).T
            if ctx.joint[i]:
                grad_anchors = torch.addmm(grad_anchors, by_row, clean)
            else:
                grad_keys[i] = (by_row @ clean).view(ctx.shapes[i])
        return (grad_anchors, None, None, None, None, *grad_keys)


class _ContrastSum(torch.autograd.Function):

    @staticmethod
    def forward(ctx, anchors, labels, own_key, tables, settings, *keys):
        """Walk the anchors tile by tile; keep the gradients."""
        clean, labels, blocks = _clean(anchors, labels, tables, keys)
        needs = _which_need_gradients(ctx.needs_input_grad, keys)
        scaled = clean / settings.temperature
        parts, grad_keys = [], [None] * len(keys)
        for rows in tiles(len(labels), _num_keys(blocks), labels.device):
            loss, valid, weights = _tile(scaled[rows], labels[rows],
                                         _own_rows(own_key, rows), blocks,
                                         settings)
            for i in needs:
                grad_keys[i] = _add_product(
                    grad_keys[i], weights[i].T, clean[rows])
            parts.append((loss, valid, _total([
                _matmul(weight, block.keys)
                for weight, block in zip(weights, blocks)
            ])))
        loss, valid, grad = map(_cat, zip(*parts))
        for i in needs:
            if keys[i] is None:
                grad.add_(grad_keys[i])
        ctx.needs = [i for i in needs if keys[i] is not None]
        ctx.num_blocks = len(keys)
        ctx.mark_non_differentiable(valid)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, *[
            grad_keys[i].view(keys[i].shape) for i in ctx.needs])
        return loss.sum(), valid

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_total, _):
        """Scale the gradients that the forward pass has made."""
        grad_keys = [None] * ctx.num_blocks
        if grad_total is None:
            return (None, ) * 5 + tuple(grad_keys)
        grad, *made = ctx.saved_tensors
        for i, part in zip(ctx.needs, made):
            grad_keys[i] = part * grad_total
        return (grad * grad_total, None, None, None, None, *grad_keys)


def _add_product(total: Optional[Tensor], left: Tensor,
                 right: Tensor) -> Tensor:
    """Add a product of matrices to what there is, in place."""
    return left @ right if total is None else total.addmm_(left, right)


def _which_need_gradients(needs: Sequence[bool],
                          keys: Sequence[Optional[Tensor]]) -> List[int]:
    """Return the indices of the keys that need a gradient."""
    return [i for i, key in enumerate(keys)
            if needs[0 if key is None else 5 + i]]


def _clean(anchors: Tensor, labels: Tensor,
           tables: Sequence[Optional[Tensor]],
           keys: Sequence[Optional[Tensor]]
           ) -> Tuple[Tensor, Tensor, List[Block]]:
    """Return anchors, labels and blocks without what takes no part."""
    ignored = labels < 0
    clean = anchors.masked_fill(ignored[:, None], 0.)
    blocks = []
    for key, table in zip(keys, tables):
        if key is None and table is None:
            blocks.append(Block(clean, labels, ignored.to(clean.dtype)))
        else:
            blocks.append(_block(
                anchors if key is None else key,
                labels if table is None else table, clean.dtype))
    # an anchor that takes no part has the label of no key
    return clean, labels.masked_fill(ignored, NO_LABEL), blocks


def _num_keys(blocks: Sequence[Block]) -> int:
    return sum(len(block.keys) for block in blocks)


def tiles(num_anchors: int, num_keys: int,
          device: torch.device) -> Iterator[slice]:
    """Cut the anchors so that a tile has a fixed number of similarities.

    Args:
        num_anchors: A.
        num_keys: K.
        device: Device of the similarities. A CPU gains from its cache,
            other devices from few calls.
    """
    num_keys = max(1, num_keys)
    step = DEVICE_ELEMENTS // num_keys
    if device.type == 'cpu':
        fits = num_keys <= CACHE_ELEMENTS // CPU_ROWS
        step = (CACHE_ELEMENTS if fits else CPU_ELEMENTS) // num_keys
    step = max(1, step)
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


def _block(keys: Tensor, labels: Tensor, dtype: torch.dtype) -> Block:
    """Make a block safe: zero weight times NaN would be NaN.

    The unfilled slots of a queue are zeros already.
    """
    ignored = labels < 0
    if keys.dim() == 3:
        keys = keys.flatten(0, 1)
    else:
        keys = keys.masked_fill(ignored[:, None], 0.)
    return Block(keys, labels, ignored.to(dtype))


def _matmul(weight: Tensor, keys: Tensor) -> Tensor:
    """Return weight (a, K) @ keys (K, D), casting a half bank by parts."""
    if keys.dtype == weight.dtype:
        return weight @ keys
    return sum(w @ k.to(w.dtype)
               for w, k in zip(weight.split(CAST_ROWS, 1),
                               keys.split(CAST_ROWS)))


def _logits(anchors: Tensor, keys: Tensor) -> Tensor:
    """Return anchors (a, D) @ keys.T (D, K), casting a half bank by parts."""
    if keys.dtype == anchors.dtype:
        return anchors @ keys.T
    return torch.cat(
        [anchors @ k.to(anchors.dtype).T for k in keys.split(CAST_ROWS)], 1)


def _tile(anchors: Tensor, labels: Tensor, own_key: OwnKey,
          blocks: Sequence[Block],
          settings: Settings) -> Tuple[Tensor, Tensor, List[Tensor]]:
    """Return loss (a,), valid (a,) and the weight (a, K) of every block.

    The weight of a pair is the derivative of the loss with respect to its
    similarity, before the temperature divides it.
    """
    logits = [_logits(anchors, block.keys) for block in blocks]
    if settings.miner is not None:
        pairs = [_mined(logits, labels, own_key, blocks, settings.miner)]
    else:
        pairs, offset = [], 0
        for logit, block in zip(logits, blocks):
            split = _split_flat if block.labels.dim() == 1 else _split_queues
            pairs.append(split(logit, labels, _own_in_block(
                own_key, offset, logit.shape), block))
            offset += block.labels.numel()
    loss, valid, weights = _contrast(pairs, settings)
    if settings.miner is not None:
        weights = weights[0].split([len(block.keys) for block in blocks], 1)
    return loss, valid, weights


def _own_in_block(own_key: OwnKey, offset: int,
                  shape: Sequence[int]) -> OwnKey:
    """Return the own keys in a block, None where it has none for sure."""
    if own_key is None:
        return None
    own_key = own_key - offset
    num_anchors, num_keys = shape
    if isinstance(own_key, int) and not -num_anchors < own_key < num_keys:
        return None
    return own_key


def _contrast(pairs: Sequence[Pairs],
              settings: Settings) -> Tuple[Tensor, Tensor, List[Tensor]]:
    """Evaluate the equation on the pairs of a tile with all blocks."""
    supcon = settings.denominator == 'supcon'
    logits = [pair.negatives for pair in pairs]
    if supcon:
        logits += [_positive_logits(pair) for pair in pairs]
    log_denominator, total = _shares_(logits)
    count = _total([pair.is_positive.sum(1, keepdim=True) for pair in pairs])
    terms = _supcon if supcon else _per_positive
    loss, pull = zip(*(terms(pair, log_denominator) for pair in pairs))
    valid = count > 0
    share = count.clamp_(min=1).div_(settings.scale)
    steepness = share * -settings.temperature
    pull = [p.div_(steepness) for p in pull]
    push = _total([p.sum(1, keepdim=True) for p in pull])
    if total is not None:
        push = push / total
    if supcon:
        pull = [
            p.addcmul_(share_of_all, push, value=-1)
            for p, share_of_all in zip(pull, logits[len(pairs):])
        ]
    weights = [_pair_weights(*parts, push) for parts in zip(pairs, pull)]
    return (_total(loss) / share).squeeze(1), valid.squeeze(1), weights


def _shares_(logits: Sequence[Tensor]) -> Tuple[Tensor, Optional[Tensor]]:
    """Replace logits (a, K) of all blocks by their shares of the denominator.

    Returns:
        The log of the denominator (a, 1), and what the shares are still to
        be divided by (a, 1); None: nothing.
    """
    logits = [part for part in logits if part.shape[1]]
    if not logits:
        return torch.tensor(LOW), None
    if logits[0].device.type == 'cpu':
        return _shares_in_cache_(logits)
    return _shares_in_few_calls_(logits)


def _shares_in_few_calls_(logits: Sequence[Tensor]) -> Tuple[Tensor, None]:
    """Do as :func:`_shares_`, where calls cost more than exponentials."""
    log_sums = [part.logsumexp(1, keepdim=True) for part in logits]
    log_denominator = log_sums[0] if len(log_sums) == 1 else torch.cat(
        log_sums, 1).logsumexp(1, keepdim=True)
    for part in logits:
        part.sub_(log_denominator).exp_()
    return log_denominator, None


def _shares_in_cache_(logits: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
    """Do as :func:`_shares_`, some rows at a time, with one exponential."""
    tops = [part.amax(1, keepdim=True) for part in logits]
    top = tops[0]
    for other in tops[1:]:
        top = torch.maximum(top, other)
    totals = []
    for part in logits:
        rows = max(1, CACHE_ELEMENTS // part.shape[1])
        totals.append(_cat([
            chunk.sub_(shift).clamp_(min=FLOOR).exp_().sum(1, keepdim=True)
            for chunk, shift in zip(part.split(rows), top.split(rows))
        ]))
    total = _total(totals)
    return top + total.log(), total


def _positive_logits(pair: Pairs) -> Tensor:
    """Return the logits of the positives (a, P), `LOW` elsewhere."""
    return torch.add(pair.positives, pair.is_positive - 1, alpha=-LOW)


def _per_positive(pair: Pairs,
                  log_negatives: Tensor) -> Tuple[Tensor, Tensor]:
    """-log(e^p / (e^p + sum e^n)) = softplus(log sum e^n - p), by row.

    Returns:
        The sum over the positives (a, 1) and minus its derivative with
        respect to each p (a, P).
    """
    margin = log_negatives - pair.positives
    loss = softplus(margin, threshold=40.).mul_(pair.is_positive)
    return loss.sum(1, keepdim=True), margin.sigmoid_().mul_(
        pair.is_positive)


def _supcon(pair: Pairs, log_all: Tensor) -> Tuple[Tensor, Tensor]:
    """-log(e^p / sum over all other keys) = log sum - p, by row."""
    margin = (log_all - pair.positives).mul_(pair.is_positive)
    return margin.sum(1, keepdim=True), pair.is_positive.clone()


def _pair_weights(pair: Pairs, pull: Tensor, push: Tensor) -> Tensor:
    """Join the pull of the positives and the push of the denominator.

    Args:
        pair: Whose negatives hold exponentials by now.
        pull: (a, P).
        push: (a, 1) factor of the exponentials.
    """
    if pair.queue is None:
        return pull.addcmul_(pair.negatives, push, value=-1)
    weight = pair.negatives.mul_(-push)
    cube = weight.unflatten(1, (-1, pull.shape[1]))
    row = torch.arange(len(weight), device=weight.device)
    cube[row, pair.queue] += pull
    return weight


def _split_flat(logits: Tensor, labels: Tensor, own_key: OwnKey,
                block: Block) -> Pairs:
    """Return the pairs with flat keys."""
    same = (labels[:, None] == block.labels).to(logits.dtype)
    negatives = torch.add(logits, same, alpha=LOW)
    negatives.add_(block.ignored, alpha=LOW)
    if isinstance(own_key, int):
        same.diagonal(own_key).zero_()
    elif own_key is not None:
        column = own_key.clamp(0, same.shape[1] - 1)[:, None]
        other = own_key[:, None] != column
        same.scatter_(1, column, same.gather(1, column).mul_(other))
    return Pairs(negatives, logits, same, None)


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
    logits.add_(block.ignored.flatten(), alpha=LOW)
    cube[row, queue] = cube[row, queue].masked_fill_(holds, LOW)
    return Pairs(logits, positives, positive.to(logits.dtype), queue)


def _mined(logits: Sequence[Tensor], labels: Tensor, own_key: OwnKey,
           blocks: Sequence[Block], miner: Miner) -> Pairs:
    """Return the pairs that a miner leaves, all blocks side by side."""
    positive, excluded = pair_masks(
        labels, own_key, torch.cat([b.labels.flatten() for b in blocks]),
        torch.cat([b.ignored.flatten() for b in blocks]) > 0)
    joint = torch.cat(list(logits), 1)
    positive, negative = miner(joint, positive, ~excluded)
    return Pairs(joint.masked_fill(~negative, LOW), joint,
                 positive.to(joint.dtype), None)
