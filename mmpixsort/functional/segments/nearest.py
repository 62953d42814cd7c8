"""Exact search for the nearest keys, and votes of their labels.

Shapes: Q queries, K keys, D embedding dims, k neighbours, C classes.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_labels, check_positive)

TIES = ('smallest', 'nearest')
# added to votes to decide ties; smaller than any true difference of votes
TIE_BONUS = 1e-5
BLOCK = 32  # number of similarities of which only the maximum is kept first
# Numbers of keys that are compared at once. On a CPU they fit in its cache;
# on other devices, where calls are expensive, they are as large as possible.
CPU_CHUNK = 1 << 14
CPU_MAXIMA_CHUNK = 1 << 12
DEVICE_ELEMENTS = 1 << 28
# The search by maxima of blocks is faster if there are more keys than this
# factor times the numbers that it reads again for a query (measured on a CPU).
MAXIMA_COST = 4
QUERIES = 256  # maximum number of queries that are searched at once by maxima
QUERY_ELEMENTS = 1 << 24  # maximum number of maxima that are kept at once


def row_similarity(queries: Tensor, keys: Tensor) -> Tensor:
    r"""Return the similarity of every query with every key, of any length.

    It is :math:`1 - \|q - k\|^2 / 2`. For unit rows this is the cosine. For
    rows whose length matters, such as those of the discriminative loss, it
    falls with their distance.

    Args:
        queries: (Q, D) floating tensor.
        keys: (K, D) floating tensor.

    Returns:
        (Q, K) similarities of at most 1.

    Example:
        >>> row_similarity(torch.eye(2), torch.eye(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    lengths = queries.square().sum(1, keepdim=True) + keys.square().sum(1)
    return 1 + queries @ keys.T - lengths / 2


@torch.no_grad()
def nearest_keys(queries: Tensor,
                 keys: Tensor,
                 *,
                 num_neighbors: int,
                 chunk_size: Optional[int] = None) -> Tuple[Tensor, Tensor]:
    """Find the keys with the largest inner products, exactly.

    Keys are read in chunks, and only the best similarities or the maxima of
    blocks of them are kept, so the memory hardly grows with K. Keys of half
    precision are cast chunk by chunk.

    Args:
        queries: (Q, D) floating tensor.
        keys: (K, D) floating tensor.
        num_neighbors: k, from 1 to K.
        chunk_size: Number of keys that are compared at once; None chooses
            it by the device.

    Returns:
        Similarities (Q, k), most similar first, and indices (Q, k) int64 of
        the keys. The order of equal similarities is that of torch.topk.

    Raises:
        ValueError: If a shape is wrong, or `num_neighbors` exceeds the
            number of keys.

    Example:
        >>> nearest_keys(torch.eye(2), torch.eye(2), num_neighbors=1)[1]
        tensor([[0],
                [1]])
    """
    check_count('num_neighbors', num_neighbors)
    if chunk_size is not None:
        check_count('chunk_size', chunk_size)
    if queries.dim() != 2 or keys.dim() != 2 or (
            queries.shape[1] != keys.shape[1]):
        raise ValueError('`queries` and `keys` must have shapes (Q, D) and '
                         f'(K, D), got {tuple(queries.shape)} and '
                         f'{tuple(keys.shape)}')
    if num_neighbors > len(keys):
        raise ValueError(f'`num_neighbors` must be at most {len(keys)}, the '
                         f'number of keys, got {num_neighbors}')
    if queries.dtype != torch.float64:
        queries = queries.float()
    read_again = num_neighbors * BLOCK * keys.shape[1]
    if len(keys) < MAXIMA_COST * read_again:
        return _by_chunks(
            queries, keys, num_neighbors, chunk_size or _chunk_size(
                queries, CPU_CHUNK))
    rows = max(1, min(QUERIES, QUERY_ELEMENTS * BLOCK // len(keys)))
    found = [
        _by_maxima(
            part, keys, num_neighbors, chunk_size or _chunk_size(
                part, CPU_MAXIMA_CHUNK)) for part in queries.split(rows)
    ]
    return tuple(map(torch.cat, zip(*found)))


def _chunk_size(queries: Tensor, on_cpu: int) -> int:
    """Return the number of keys to compare at once on the device."""
    if queries.device.type == 'cpu':
        return on_cpu
    return max(CPU_CHUNK, DEVICE_ELEMENTS // max(1, len(queries)))


def _by_chunks(queries: Tensor, keys: Tensor, count: int,
               chunk_size: int) -> Tuple[Tensor, Tensor]:
    """Search chunk by chunk, keeping the best keys found so far."""
    best, index = queries.new_empty(len(queries), 0), None
    for start in range(0, len(keys), chunk_size):
        chunk = keys[start:start + chunk_size].to(queries.dtype)
        score, place = _largest(queries @ chunk.T, count)
        place += start
        if index is not None:
            score = torch.cat([best, score], 1)
            place = torch.cat([index, place], 1)
            score, order = score.topk(min(count, score.shape[1]), 1)
            place = place.gather(1, order)
        best, index = score, place
    return best, index


def _by_maxima(queries: Tensor, keys: Tensor, count: int,
               chunk_size: int) -> Tuple[Tensor, Tensor]:
    """Find the blocks with the largest maxima, then the best keys in them.

    The k largest similarities lie in the k blocks with the largest maxima.
    Only the maxima of all blocks are kept; the similarities in those k
    blocks are computed a second time.
    """
    whole = len(keys) // BLOCK * BLOCK
    chunk_size = max(BLOCK, chunk_size // BLOCK * BLOCK)
    buffer = queries.new_empty(len(queries) * min(chunk_size, whole))
    maxima = []
    for start in range(0, whole, chunk_size):
        chunk = keys[start:min(start + chunk_size, whole)].to(queries.dtype)
        shape = len(queries), len(chunk)
        scores = buffer[:shape[0] * shape[1]].view(shape)
        torch.mm(queries, chunk.T, out=scores)
        maxima.append(scores.unflatten(1, (-1, BLOCK)).amax(2))
    maxima = torch.cat(maxima, 1)
    blocks = maxima.topk(min(count, maxima.shape[1]), 1).indices
    inside = torch.arange(BLOCK, device=queries.device)
    rest = torch.arange(whole, len(keys), device=queries.device)
    place = torch.cat([(blocks[..., None] * BLOCK + inside).flatten(1),
                       rest.expand(len(queries), -1)], 1)
    rows = keys[place].to(queries.dtype)
    values = torch.bmm(rows, queries[..., None]).squeeze(2)
    values, order = values.topk(count, 1)
    return values, place.gather(1, order)


def _largest(scores: Tensor, count: int) -> Tuple[Tensor, Tensor]:
    """Return the largest values of rows (Q, n) and their indices.

    The k largest values lie in the k blocks with the largest maxima. Maxima
    are computed at the speed of memory, faster than a partial sort.
    """
    num_blocks, rest = divmod(scores.shape[1], BLOCK)
    if rest or num_blocks <= count:
        return scores.topk(min(count, scores.shape[1]), 1)
    blocks = scores.view(len(scores), num_blocks, BLOCK)
    best = blocks.amax(2).topk(count, 1).indices
    inside = torch.arange(BLOCK, device=scores.device)
    candidates = (best[..., None] * BLOCK + inside).flatten(1)
    values, order = scores.gather(1, candidates).topk(count, 1)
    return values, candidates.gather(1, order)


def vote_fractions(labels: Tensor,
                   similarities: Optional[Tensor] = None,
                   *,
                   num_classes: int,
                   concentration: Optional[float] = None,
                   ties: str = 'smallest') -> Tensor:
    """Return the fraction of neighbours that vote for each class.

    Args:
        labels: (Q, k) integer labels of the neighbours in [0, C), most
            similar first.
        similarities: (Q, k) similarities of the neighbours; they must be
            given with `concentration`.
        num_classes: C.
        concentration: Votes are weighted by softmax(concentration *
            similarity), above 0; None gives all neighbours equal weights.
        ties: Class that an argmax finds among classes with equally many
            votes: the 'smallest', as in the authors' released code of
            SegSort, or that of the 'nearest' neighbour.

    Returns:
        (Q, C) fractions of the votes; rows sum to 1.

    Raises:
        ValueError: If an option is out of range, or similarities are missing.
        TypeError: If `labels` are not integers.

    Example:
        >>> vote_fractions(torch.tensor([[2, 1, 2, 1]]), num_classes=3)
        tensor([[0.0000, 0.5000, 0.5000]])
        >>> vote_fractions(torch.tensor([[2, 1, 2, 1]]), num_classes=3,
        ...                ties='nearest').argmax(1)
        tensor([2])
    """
    check_count('num_classes', num_classes)
    check_choice('ties', ties, TIES)
    labels = check_labels('labels', labels, labels.shape)
    if concentration is None:
        weights = torch.full(
            labels.shape, 1 / max(1, labels.shape[1]), device=labels.device)
    else:
        check_positive('concentration', concentration)
        if similarities is None:
            raise ValueError('`similarities` must be given with '
                             '`concentration`, got None')
        weights = (concentration * similarities.float()).softmax(1)
    if ties == 'nearest':
        rank = torch.arange(labels.shape[1], device=labels.device)
        bonus = TIE_BONUS * 0.5**rank.clamp(max=12)
        weights = weights + bonus
        weights = weights / weights.sum(1, keepdim=True)
    votes = weights.new_zeros(len(labels), num_classes)
    return votes.scatter_add_(1, labels, weights)
