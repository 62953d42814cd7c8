"""How well segments fit labels, and how well retrieval names them.

Shapes: B images, H W size, N pixels, S segments, C classes, Q queries, k
neighbours.

The majority class of a segment is that of most of its labelled pixels, of
equal ones the smallest, as in Hwang et al., "SegSort", ICCV 2019,
https://arxiv.org/abs/1910.06962, section 3.3, where prototypes get it.
"""
from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_labels


class RetrievalAccuracy(NamedTuple):
    """Shares of retrieved neighbours in [0, 1], NaN without queries.

    Attributes:
        mean: (), share of the k neighbours that carry the label of the
            query, averaged over queries (the accuracy of SPML's code).
        any: (), share of the queries with at least one such neighbour.
    """

    mean: Tensor
    any: Tensor


def overlap_counts(rows: Tensor,
                   labels: Tensor,
                   *,
                   num_rows: int,
                   num_classes: int,
                   ignore_index: int = 255) -> Tensor:
    """Count the pixels of every pair of a row and a class.

    The confusion matrix when rows are predicted classes or clusters.

    Args:
        rows: (...) integer; outside [0, num_rows) the pixel takes no part.
        labels: (...) integer; outside [0, C) likewise.
        num_rows: Segments, clusters or predicted classes.
        num_classes: C.
        ignore_index: Label that takes no part.

    Returns:
        (num_rows, C) int64.

    Example:
        >>> overlap_counts(torch.tensor([0, 0, 1]), torch.tensor([1, 1, 255]),
        ...                num_rows=2, num_classes=2).tolist()
        [[0, 2], [0, 0]]
    """
    check_count('num_rows', num_rows, minimum=0)
    check_count('num_classes', num_classes)
    labels = check_labels('labels', labels, rows.shape).flatten()
    rows = check_labels('rows', rows, rows.shape).flatten()
    counted = (rows >= 0) & (rows < num_rows) & (labels >= 0) & (
        labels < num_classes) & (labels != ignore_index)
    size = num_rows * num_classes
    # the last cell is a dump for the pixels that take no part
    cells = torch.where(counted, rows * num_classes + labels, size)
    counts = cells.new_zeros(size + 1)
    counts.scatter_add_(0, cells, torch.ones_like(cells))
    return counts[:size].view(num_rows, num_classes)


def majority_classes(segment_ids: Tensor,
                     labels: Tensor,
                     *,
                     num_segments: int,
                     num_classes: int,
                     ignore_index: int = 255) -> Tensor:
    """Return the class that most labelled pixels of each segment carry.

    Args:
        segment_ids: (...) integer in [0, S), negative: takes no part.
        labels: (...) integer.
        num_segments: S.
        num_classes: C.
        ignore_index: Label that takes no part.

    Returns:
        (S,) int64, of equally frequent classes the smallest; -1 for a
        segment without a labelled pixel.

    Example:
        >>> majority_classes(torch.tensor([0, 0, 1]), torch.tensor([3, 2, 0]),
        ...                  num_segments=3, num_classes=4)
        tensor([ 2,  0, -1])
    """
    counts = overlap_counts(
        segment_ids,
        labels,
        num_rows=num_segments,
        num_classes=num_classes,
        ignore_index=ignore_index)
    return _majority(counts)


def segment_purity(segment_ids: Tensor,
                   labels: Tensor,
                   *,
                   num_classes: int,
                   ignore_index: int = 255) -> Tensor:
    """Return the share of pixels that carry the majority of their segment.

    Over all labelled pixels of the batch that lie in a segment.

    Args:
        segment_ids: (B, H, W) integer, any numbers, of each image its own;
            negative: in no segment.
        labels: (B, H, W) integer.
        num_classes: C.
        ignore_index: Label that takes no part.

    Returns:
        () float64 in (0, 1], NaN when there is no such pixel.

    Example:
        >>> ids = torch.tensor([[[0, 0, 0, 7]]])
        >>> labels = torch.tensor([[[1, 1, 2, 255]]])
        >>> segment_purity(ids, labels, num_classes=3)
        tensor(0.6667, dtype=torch.float64)
    """
    counts = _table(segment_ids, labels, num_classes, ignore_index)[1]
    if len(counts) == 0:
        return counts.new_full((), float('nan'), dtype=torch.double)
    return counts.amax(1).sum().double() / counts.sum()


def oracle_labels(segment_ids: Tensor,
                  labels: Tensor,
                  *,
                  num_classes: int,
                  ignore_index: int = 255) -> Tensor:
    """Paint each segment with its majority class.

    No labelling of the segments gets more pixels right.

    Args:
        segment_ids: (B, H, W) integer, any numbers, of each image its own;
            negative: in no segment.
        labels: (B, H, W) integer.
        num_classes: C.
        ignore_index: Label that takes no part.

    Returns:
        (B, H, W) int64; `ignore_index` outside segments and in those
        without a labelled pixel.

    Example:
        >>> ids = torch.tensor([[[0, 0, 0, 7]]])
        >>> labels = torch.tensor([[[1, 1, 2, 255]]])
        >>> oracle_labels(ids, labels, num_classes=3)
        tensor([[[  1,   1,   1, 255]]])
    """
    rows, counts = _table(segment_ids, labels, num_classes, ignore_index)
    majority = _majority(counts)
    majority = majority.masked_fill(majority < 0, ignore_index)
    outside = majority.new_full((1, ), ignore_index)
    return torch.cat([majority, outside])[rows]  # row -1 is the last


def retrieval_accuracy(neighbor_labels: Tensor,
                       labels: Tensor) -> RetrievalAccuracy:
    """Tell how many neighbours carry the label of their query.

    Args:
        neighbor_labels: (Q, k) integer; a negative one is wrong.
        labels: (Q,) integer; negative: the query takes no part.

    Returns:
        Mean share of right neighbours, and share of queries with any.

    Raises:
        ValueError: On shapes that do not fit.

    Example:
        >>> neighbor_labels = torch.tensor([[1, 1], [0, 2], [5, 4]])
        >>> retrieval_accuracy(neighbor_labels, torch.tensor([1, 2, 3]))
        RetrievalAccuracy(mean=tensor(0.5000), any=tensor(0.6667))
    """
    if neighbor_labels.dim() != 2:
        raise ValueError('`neighbor_labels` must have shape (Q, k), got '
                         f'{tuple(neighbor_labels.shape)}')
    neighbor_labels = check_labels(
        'neighbor_labels', neighbor_labels, neighbor_labels.shape)
    labels = check_labels('labels', labels, neighbor_labels.shape[:1])
    right = (neighbor_labels == labels[:, None])[labels >= 0]
    return RetrievalAccuracy(right.float().mean(),
                             right.any(1).float().mean())


def _table(segment_ids: Tensor, labels: Tensor, num_classes: int,
           ignore_index: int) -> Tuple[Tensor, Tensor]:
    """Number the segments of a batch: rows (B, H, W), counts (S, C)."""
    if segment_ids.dim() != 3:
        raise ValueError('`segment_ids` must have shape (B, H, W), got '
                         f'{tuple(segment_ids.shape)}')
    ids = check_labels('segment_ids', segment_ids, segment_ids.shape)
    inside = ids >= 0
    step = ids.amax().clamp(min=0) + 1 if ids.numel() else 1
    images = torch.arange(len(ids), device=ids.device)[:, None, None]
    distinct, found = (ids + images * step)[inside].unique(
        return_inverse=True)
    rows = torch.full_like(ids, -1).masked_scatter_(inside, found)
    counts = overlap_counts(
        rows,
        labels,
        num_rows=len(distinct),
        num_classes=num_classes,
        ignore_index=ignore_index)
    return rows, counts


def _majority(counts: Tensor) -> Tensor:
    """Return the first class of most pixels by row, -1 for an empty row."""
    # argmax takes the first of equal ones
    return counts.argmax(1).masked_fill(counts.sum(1) == 0, -1)
