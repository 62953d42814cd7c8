"""Evaluation of contrastive losses by tiles of anchors against all keys.

Shapes: A anchors, a anchors of a tile, K keys, C queues, M slots of a queue,
D embedding dims, P candidates for the positives of an anchor.

The gradient with respect to the anchors is a weighted sum of the keys. It is
computed in the forward pass, while the similarities of a tile exist. This
takes two matrix products in all and none in backward, and no (A, K) matrix is
kept. A tile compares some anchors with all keys, so it contains the whole
denominator of an anchor, all its positives, and all pairs that a miner needs.
The number of similarities held at once is bounded; the keys are read once per
tile, which costs time only with millions of keys.

Masks are tensors of 0 and 1 with the dtype of the similarities, because a CPU
multiplies them several times as fast as it applies bool masks.
"""
from typing import (Callable, Iterator, List, NamedTuple, Optional, Sequence,
                    Tuple)

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from mmpixsort.structures import KeyBlock

from .keys import OwnKey, pair_masks

# Number of similarities of a tile. On a CPU a tile stays in the cache (1 MB
# of float32) if it then has CPU_ROWS rows, enough for a fast product.
# Otherwise it has MOST_CPU_ROWS rows, as more make no product faster, but
# takes at most 32 MB, or more against over 2^18 keys, as each tile reads all
# keys. Other devices need few calls: 1 GB.
CACHE_ELEMENTS = 1 << 18
CPU_ELEMENTS = 1 << 23
CPU_ROWS = 64
LEAST_CPU_ROWS = 32
MOST_CPU_ROWS = 256
DEVICE_ELEMENTS = 1 << 28
# rows of a half precision bank that are cast at once: few on a CPU, to save
# memory, and 1 GB of 256 dims elsewhere, to need few calls
CPU_CAST_ROWS = 1 << 13
DEVICE_CAST_ROWS = 1 << 20
NO_LABEL = -1 << 62  # label of ignored anchors; no key has it
LOW = -1e30  # logit of ignored pairs; finite, because inf - inf is NaN
# Lowest exponent of an exponential: exp(-60) adds nothing to a sum whose
# largest term is 1. Gradients of exp(-100) would be denormal numbers, which
# take a CPU ten times as long.
FLOOR = -60.


Miner = Callable[[Tensor, Tensor, Tensor], Tuple[Tensor, Tensor]]


class Settings(NamedTuple):
    """Settings that are the same for all tiles.

    Attributes:
        temperature: Divisor of the similarities.
        scale: Factor of the loss.
        denominator: 'per_positive' or 'supcon'.
        miner: Function that selects pairs, or None.
    """

    temperature: float
    scale: float
    denominator: str
    miner: Optional[Miner]


class Block(NamedTuple):
    """Keys of a block without NaN in ignored rows.

    Attributes:
        keys: (K, D) keys, zero where ignored.
        labels: (K,) labels of flat keys, or (C, M) labels of queues.
        ignored: Tensor of the shape of `labels`, 1 for ignored keys, else 0.
    """

    keys: Tensor
    labels: Tensor
    ignored: Tensor


class Pairs(NamedTuple):
    """The pairs of the anchors of a tile with the keys of one block.

    Attributes:
        negatives: (a, K) logits, `LOW` where the key is not a negative.
        positives: (a, P) logits of the keys that may be positives.
        is_positive: (a, P) 1 for positives, else 0; zero for ignored anchors.
        queue: (a,) index of the queue that holds the positives of each
            anchor; None if `positives` has the columns of `negatives`.
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
    """Return the loss (A,) of every anchor and the mask (A,) of valid ones.

    The arguments are those of :func:`mmpixsort.functional.pixel_contrast`,
    checked and in full precision; `scale` is the factor of the loss.
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
    """Return the sum () of the losses and the mask (A,) of valid anchors.

    All gradients are computed in the forward pass. The arguments are those
    of :func:`contrast_rows`.
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
        """Evaluate all tiles and keep the gradient instead of the keys."""
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
        """Evaluate all tiles and keep the gradients."""
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
    """Return `total` + `left` @ `right`, computed in place; None is zero."""
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
    """Set ignored anchors and keys to zero and return the new blocks.

    Returns:
        Anchors (A, D), labels (A,) with `NO_LABEL` for ignored anchors, and
        the blocks.
    """
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
    """Yield slices of anchors whose number of similarities is bounded.

    Args:
        num_anchors: A.
        num_keys: K.
        device: Device of the similarities. Tiles are small on a CPU, to stay
            in its cache, and large on other devices, to need few calls.
    """
    num_keys = max(1, num_keys)
    step = DEVICE_ELEMENTS // num_keys
    if device.type == 'cpu':
        fits = num_keys <= CACHE_ELEMENTS // CPU_ROWS
        step = CACHE_ELEMENTS // num_keys if fits else min(
            MOST_CPU_ROWS, max(LEAST_CPU_ROWS, CPU_ELEMENTS // num_keys))
    step = max(1, step)
    for start in range(0, max(1, num_anchors), step):
        yield slice(start, start + step)


def _own_rows(own_key: OwnKey, rows: slice) -> OwnKey:
    """Return `own_key` for the anchors of a tile."""
    if isinstance(own_key, int):
        return own_key + rows.start
    return None if own_key is None else own_key[rows]


def _total(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts[1:], parts[0])


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _block(keys: Tensor, labels: Tensor, dtype: torch.dtype) -> Block:
    """Flatten a block and set ignored keys to zero.

    They may hold NaN, and zero times NaN is NaN. The empty slots of a queue
    are zero already.
    """
    ignored = labels < 0
    if keys.dim() == 3:
        keys = keys.flatten(0, 1)
    else:
        keys = keys.masked_fill(ignored[:, None], 0.)
    return Block(keys, labels, ignored.to(dtype))


def _matmul(weight: Tensor, keys: Tensor) -> Tensor:
    """Return weight (a, K) @ keys (K, D) in the dtype of `weight`.

    A half precision bank is cast in parts, to save memory.
    """
    if keys.dtype == weight.dtype:
        return weight @ keys
    rows = _cast_rows(keys)
    return _total([w @ k.to(w.dtype) for w, k in zip(
        weight.split(rows, 1), keys.split(rows))])


def _logits(anchors: Tensor, keys: Tensor) -> Tensor:
    """Return anchors (a, D) @ keys.T (D, K) in the dtype of `anchors`.

    A half precision bank is cast in parts, to save memory.
    """
    if keys.dtype == anchors.dtype:
        return anchors @ keys.T
    parts = [anchors @ k.to(anchors.dtype).T
             for k in keys.split(_cast_rows(keys))]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _cast_rows(keys: Tensor) -> int:
    return CPU_CAST_ROWS if keys.device.type == 'cpu' else DEVICE_CAST_ROWS


def _tile(anchors: Tensor, labels: Tensor, own_key: OwnKey,
          blocks: Sequence[Block],
          settings: Settings) -> Tuple[Tensor, Tensor, List[Tensor]]:
    """Return loss (a,), valid (a,) and the weights (a, K) of every block.

    The weight of a pair is the derivative of the loss with respect to its
    similarity before the division by the temperature.
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
    """Return the own keys relative to a block that starts at `offset`.

    None is returned if an offset shows that the block has no own key.
    """
    if own_key is None:
        return None
    own_key = own_key - offset
    num_anchors, num_keys = shape
    if isinstance(own_key, int) and not -num_anchors < own_key < num_keys:
        return None
    return own_key


def _contrast(pairs: Sequence[Pairs],
              settings: Settings) -> Tuple[Tensor, Tensor, List[Tensor]]:
    """Return loss, valid and weights of a tile from its pairs.

    `pairs` has one entry per block, or one for all blocks after mining. The
    logits in it are overwritten.
    """
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
        The log of the denominator (a, 1), and a divisor (a, 1) that the
        caller has to apply to the shares; None if they are final.
    """
    logits = [part for part in logits if part.shape[1]]
    if not logits:
        return torch.tensor(LOW), None
    if logits[0].device.type == 'cpu':
        return _shares_in_cache_(logits)
    return _shares_in_few_calls_(logits)


def _shares_in_few_calls_(logits: Sequence[Tensor]) -> Tuple[Tensor, None]:
    """Do the work of :func:`_shares_` with few calls, for a GPU."""
    log_sums = [part.logsumexp(1, keepdim=True) for part in logits]
    log_denominator = log_sums[0] if len(log_sums) == 1 else torch.cat(
        log_sums, 1).logsumexp(1, keepdim=True)
    for part in logits:
        part.sub_(log_denominator).exp_()
    return log_denominator, None


def _shares_in_cache_(logits: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
    """Do the work of :func:`_shares_` by chunks of rows, for a CPU.

    It computes one exponential per logit.
    """
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
    """Return logits (a, P) that are `LOW` where there is no positive."""
    return torch.add(pair.positives, pair.is_positive - 1, alpha=-LOW)


def _per_positive(pair: Pairs,
                  log_negatives: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the loss 'per_positive' and minus its derivative.

    The loss of a positive p with negatives n is
    -log(e^p / (e^p + sum e^n)) = softplus(log sum e^n - p).

    Returns:
        The sum (a, 1) over the positives, and minus its derivative (a, P)
        with respect to each p.
    """
    margin = log_negatives - pair.positives
    loss = softplus(margin, threshold=40.).mul_(pair.is_positive)
    return loss.sum(1, keepdim=True), margin.sigmoid_().mul_(
        pair.is_positive)


def _supcon(pair: Pairs, log_all: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the loss 'supcon' and minus its derivative.

    The loss of a positive p is -log(e^p / sum e^k) over all keys k but the
    own one. The results are those of :func:`_per_positive`, with the
    denominator as a constant.
    """
    margin = (log_all - pair.positives).mul_(pair.is_positive)
    return margin.sum(1, keepdim=True), pair.is_positive.clone()


def _pair_weights(pair: Pairs, pull: Tensor, push: Tensor) -> Tensor:
    """Return the weights (a, K) of all keys of a block, in place.

    Args:
        pair: Pairs of the block; `negatives` holds exponentials by now.
        pull: (a, P) derivative with respect to the positives.
        push: (a, 1) minus the factor that turns an exponential into the
            derivative with respect to a negative.
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
    """Return the pairs of a tile with a block of flat keys."""
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
    """Return the pairs of a tile with a block of queues, one per class.

    The positives of an anchor are the slots of the queue of its class.
    """
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
    """Return the pairs that a miner selects from the keys of all blocks."""
    positive, excluded = pair_masks(
        labels, own_key, torch.cat([b.labels.flatten() for b in blocks]),
        torch.cat([b.ignored.flatten() for b in blocks]) > 0)
    joint = torch.cat(list(logits), 1)
    positive, negative = miner(joint, positive, ~excluded)
    return Pairs(joint.masked_fill(~negative, LOW), joint,
                 positive.to(joint.dtype), None)
