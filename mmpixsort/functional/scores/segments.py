"""Compare segments with labels, and compute the accuracy of retrieval.

Shapes: B images, H W size, N pixels, S segments, C classes, Q queries, k
neighbours.

The majority class of a segment is the most frequent class of its labelled
pixels; of equally frequent classes it is the smallest. Hwang et al.,
"SegSort", ICCV 2019, https://arxiv.org/abs/1910.06962, section 3.3, use it as
the label of a prototype.
"""
from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_labels


class RetrievalAccuracy(NamedTuple):
    """Accuracy of retrieved neighbours in [0, 1], NaN without queries.

    Attributes:
        mean: () fraction of the k neighbours that have the label of the
            query, averaged over queries. The code of SPML computes it.
        any: () fraction of the queries with at least one such neighbour.
    """

    mean: Tensor
    any: Tensor


def overlap_counts(rows: Tensor,
                   labels: Tensor,
                   *,
                   num_rows: int,
                   num_classes: int,
                   ignore_index: int = 255) -> Tensor:
    """Count the pixels that each segment shares with each class.

    The result is a confusion matrix if the rows are predicted classes.

    Args:
        rows: (...) integer segment, cluster or predicted class of each pixel.
            Pixels outside [0, num_rows) are ignored.
        labels: (...) integer labels; pixels outside [0, C) are ignored.
        num_rows: Number of segments, clusters or predicted classes.
        num_classes: Number of classes C.
        ignore_index: Label of pixels that are ignored.

    Returns:
        (num_rows, C) int64 numbers of pixels.

    Raises:
        ValueError: If the shapes differ or a number is out of range.
        TypeError: If `rows` or `labels` do not hold integers.

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
    # the last cell collects the ignored pixels
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
    """Return the majority class of each segment.

    Args:
        segment_ids: (...) integer segment of each pixel in [0, S); pixels
            with other values are ignored.
        labels: (...) integer labels; pixels outside [0, C) are ignored.
        num_segments: Number of segments S.
        num_classes: Number of classes C.
        ignore_index: Label of pixels that are ignored.

    Returns:
        (S,) int64 majority classes; -1 for a segment without labelled
        pixels.

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
    """Return the fraction of pixels with the majority class of their segment.

    It is computed over all labelled pixels of the batch that lie in a
    segment.

    Args:
        segment_ids: (B, H, W) integer segment of each pixel. Ids may have
            gaps and are separate for each image; a negative id means no
            segment.
        labels: (B, H, W) integer labels; pixels outside [0, C) are ignored.
        num_classes: Number of classes C.
        ignore_index: Label of pixels that are ignored.

    Returns:
        () float64 in (0, 1], NaN if no labelled pixel lies in a segment.

    Raises:
        ValueError: If a shape is wrong.
        TypeError: If a map does not hold integers.

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
    """Give every pixel the majority class of its segment.

    No labelling that gives all pixels of a segment the same class agrees with
    more labels.

    Args:
        segment_ids: (B, H, W) integer segment of each pixel. Ids may have
            gaps and are separate for each image; a negative id means no
            segment.
        labels: (B, H, W) integer labels; pixels outside [0, C) are ignored.
        num_classes: Number of classes C.
        ignore_index: Label of pixels that are ignored.

    Returns:
        (B, H, W) int64 classes; `ignore_index` outside segments and in
        segments without labelled pixels.

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
    """Compute how often retrieved neighbours have the label of their query.

    Args:
        neighbor_labels: (Q, k) integer labels of the neighbours; a negative
            label counts as wrong.
        labels: (Q,) integer labels of the queries; queries with a negative
            label are ignored.

    Returns:
        :class:`RetrievalAccuracy` of all queries.

    Raises:
        ValueError: If the shapes do not fit.
        TypeError: If the labels are not integers.

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
    """Number the segments of a batch and count their pixels of each class.

    Returns:
        Segment number (B, H, W) of each pixel, -1 for pixels in no segment;
        and the counts (S, C).
    """
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
    """Return the most frequent class of each row, -1 for an empty row."""
    # argmax returns the first of equal values
    return counts.argmax(1).masked_fill(counts.sum(1) == 0, -1)
