r"""Panoptic quality without panopticapi.

Shapes: H W size, C classes, T classes of things, which come first.

Kirillov et al., "Panoptic Segmentation", CVPR 2019,
https://arxiv.org/abs/1801.00868, section 4:

.. math::
    PQ = \frac{\sum_{TP} IoU}{|TP| + |FP| / 2 + |FN| / 2} = SQ \cdot RQ,
    \qquad SQ = \frac{\sum_{TP} IoU}{|TP|}

for each class, averaged over classes.
"""
from typing import Dict, NamedTuple, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_labels

OFFSET = 1000  # of instances in a panoptic id, as mmdet has it
NO_SEGMENT = -1


class PanopticCounts(NamedTuple):
    """Segments of each class; counts of several images add up.

    Attributes:
        iou: (C,) float64, sum over `tp`.
        tp: (C,) int64, pairs that match.
        fp: (C,) int64, predicted segments without a match.
        fn: (C,) int64, true segments without a match.
    """

    iou: Tensor
    tp: Tensor
    fp: Tensor
    fn: Tensor


class ClassQuality(NamedTuple):
    """Scores of each class in [0, 1], NaN where it has no segment.

    Attributes:
        pq: (C,) float64, panoptic quality.
        sq: (C,) float64, mean IoU of the matches, 0 without any.
        rq: (C,) float64, F1 of the segments.
    """

    pq: Tensor
    sq: Tensor
    rq: Tensor


class _Overlaps(NamedTuple):
    """The P predicted and Q true segments and the K pairs that overlap.

    Attributes:
        pred_ids: (P,) int64, NO_SEGMENT: none is predicted.
        true_ids: (Q,) int64, NO_SEGMENT: nothing is known.
        rows: (K,) int64 place in `pred_ids`.
        columns: (K,) int64 place in `true_ids`.
        pixels: (K,) int64, above 0.
    """

    pred_ids: Tensor
    true_ids: Tensor
    rows: Tensor
    columns: Tensor
    pixels: Tensor


@torch.no_grad()
def panoptic_counts(prediction: Tensor,
                    semantic: Tensor,
                    instances: Tensor,
                    *,
                    num_classes: int,
                    num_things: int,
                    ignore_index: int = 255) -> PanopticCounts:
    """Match the segments of one image and count them by class.

    A segment is an instance of a thing, or all pixels of a class of stuff.
    Two match when they have one class and IoU > 0.5, with the part of the
    prediction in void left out of the union. A prediction without a match
    of which more than half lies in void or in a crowd of its class is not
    counted. A crowd, true pixels of a thing without an instance, is no
    segment. Predicted void is no class.

    Args:
        prediction: (H, W) integer, class + 1000 * instance; the instance
            does not count for stuff. Void: C or negative.
        semantic: (H, W) integer true classes in [0, C), or `ignore_index`.
        instances: (H, W) integer, 1, 2, ... where `semantic` is a thing,
            negative where it is a crowd; elsewhere it does not count.
        num_classes: C, below 1000.
        num_things: T, from 0 to C.
        ignore_index: Void in `semantic`.

    Returns:
        Counts of each class.

    Raises:
        TypeError: On maps that are not of integers.
        ValueError: On maps of different shapes, classes out of range, or
            things without an instance that are not marked as a crowd.

    Example:
        >>> prediction = torch.tensor([[1000, 1000, 2000, 1, 1, 1]])
        >>> semantic = torch.tensor([[0, 0, 0, 1, 1, 255]])
        >>> instances = torch.tensor([[1, 1, 1, 0, 0, -1]])
        >>> counts = panoptic_counts(prediction, semantic, instances,
        ...                          num_classes=2, num_things=1)
        >>> [part.tolist() for part in counts]
        [[0.6666666666666666, 1.0], [1, 1], [1, 0], [0, 0]]
    """
    check_classes(num_classes, num_things)
    prediction, semantic, instances, pixels = _runs(
        *_check_maps(prediction, semantic, instances))
    pred_ids = _pred_ids(prediction, num_classes, num_things)
    true_ids = _true_ids(semantic, instances, num_classes, num_things,
                         ignore_index)
    return _match(
        _overlaps(pred_ids, true_ids, pixels), num_classes, num_things)


def class_quality(counts: PanopticCounts) -> ClassQuality:
    """Return PQ, SQ and RQ of each class.

    Args:
        counts: (C,) each, of one image or sums over many.

    Returns:
        Scores of each class in [0, 1], float64.
    """
    iou, tp, fp, fn = (part.double() for part in counts)
    # 0 / 0 is NaN: a class without a segment
    total = tp + .5 * fp + .5 * fn
    sq = (iou / tp.clamp(min=1)).masked_fill(total == 0, torch.nan)
    return ClassQuality(iou / total, sq, tp / total)


def panoptic_quality(counts: PanopticCounts, *,
                     num_things: int) -> Dict[str, Tensor]:
    """Average PQ, SQ and RQ over the classes that have a segment.

    Args:
        counts: (C,) each, of one image or sums over many.
        num_things: T, from 0 to C.

    Returns:
        `PQ`, `SQ`, `RQ`, of things `PQ_th`, `SQ_th`, `RQ_th` and of stuff
        `PQ_st`, `SQ_st`, `RQ_st`: () float64 in [0, 1], NaN where no class
        has a segment.

    Raises:
        ValueError: On more things than classes.

    Example:
        >>> counts = PanopticCounts(*torch.tensor(
        ...     [[1.5, .8], [2, 1], [1, 0], [0, 0]]).double())
        >>> panoptic_quality(counts, num_things=1)['PQ_th']
        tensor(0.6000, dtype=torch.float64)
    """
    check_classes(len(counts.tp), num_things)
    splits = {
        '': slice(None),
        '_th': slice(num_things),
        '_st': slice(num_things, None)
    }
    return {
        name.upper() + suffix: values[split].nanmean()
        for suffix, split in splits.items()
        for name, values in class_quality(counts)._asdict().items()
    }


def check_classes(num_classes: int, num_things: int) -> None:
    """Raise unless T is in [0, C] and C fits in a panoptic id."""
    check_count('num_classes', num_classes)
    check_count('num_things', num_things, minimum=0)
    if num_classes >= OFFSET:
        raise ValueError(
            f'`num_classes` must be below {OFFSET}, as a panoptic id is '
            f'class + {OFFSET} * instance, got {num_classes}')
    if num_things > num_classes:
        raise ValueError(
            f'`num_things` must be at most the {num_classes} classes, got '
            f'{num_things}; it counts the classes of things, which come '
            'first')


def _check_maps(prediction: Tensor, semantic: Tensor,
                instances: Tensor) -> Tuple[Tensor, ...]:
    """Return the maps as int64."""
    if prediction.dim() != 2:
        raise ValueError(
            '`prediction` must have shape (H, W), got '
            f'{tuple(prediction.shape)}; add up the counts of several images')
    return (check_labels('prediction', prediction, prediction.shape),
            check_labels('semantic', semantic, prediction.shape),
            check_labels('instances', instances, prediction.shape))


def _runs(*maps: Tensor) -> Tuple[Tensor, ...]:
    """Return the values of runs of equal pixels, and the run lengths.

    What follows sorts: runs are tens of times fewer than pixels.
    """
    rows = [labels.flatten() for labels in maps]
    first = torch.ones_like(rows[0], dtype=torch.bool)
    first[1:] = False
    for row in rows:
        first[1:] |= row[1:] != row[:-1]
    starts = first.nonzero()[:, 0]
    lengths = starts.diff(append=starts.new_tensor([len(first)]))
    return (*(row[starts] for row in rows), lengths)


def _pred_ids(prediction: Tensor, num_classes: int,
              num_things: int) -> Tensor:
    """Return ids of segments: class + 1000 * instance, or NO_SEGMENT."""
    classes = prediction % OFFSET
    void = (prediction < 0) | (classes == num_classes)
    wrong = classes[~void & (classes > num_classes)]
    if len(wrong):
        raise ValueError(
            f'`prediction` must be class + {OFFSET} * instance with classes '
            f'in [0, {num_classes}), or {num_classes} or negative for void, '
            f'got class {int(wrong[0])}; `num_classes` must be that of the '
            'model')
    ids = torch.where(classes < num_things, prediction, classes)
    return ids.masked_fill(void, NO_SEGMENT)


def _true_ids(semantic: Tensor, instances: Tensor, num_classes: int,
              num_things: int, ignore_index: int) -> Tensor:
    """Return ids of true segments; the crowd of thing c has the id c."""
    void = semantic == ignore_index
    wrong = semantic[~void & ((semantic < 0) | (semantic >= num_classes))]
    if len(wrong):
        raise ValueError(
            f'`semantic` must lie in [0, {num_classes}) or be '
            f'{ignore_index} for void, got {int(wrong[0])}; set '
            '`num_classes` or `ignore_index`')
    is_thing = ~void & (semantic < num_things)
    if (is_thing & (instances == 0)).any():
        raise ValueError(
            '`instances` must not be 0 where `semantic` is a thing, got such '
            'pixels: number instances from 1 and mark crowds with -1, as '
            f'`mmpixsort.PaintInstanceMap(num_things={num_things})` does')
    instances = instances.clamp(min=0).where(is_thing, 0)
    return (semantic + OFFSET * instances).masked_fill(void, NO_SEGMENT)


def _overlaps(pred_ids: Tensor, true_ids: Tensor,
              pixels: Tensor) -> _Overlaps:
    """Count the pixels of every pair of ids that occurs."""
    pred_ids, rows = pred_ids.unique(return_inverse=True)
    true_ids, columns = true_ids.unique(return_inverse=True)
    # pairs that occur, as there may be 10^4 segments on either side
    pairs, places = torch.unique(
        rows * len(true_ids) + columns, return_inverse=True)
    return _Overlaps(pred_ids, true_ids, pairs // len(true_ids),
                     pairs % len(true_ids), _sums(pixels, places, pairs))


def _match(overlaps: _Overlaps, num_classes: int,
           num_things: int) -> PanopticCounts:
    """Match segments, at most one with each for an IoU above a half."""
    pred_ids, true_ids, rows, columns, shared = overlaps
    preds, trues = pred_ids[rows], true_ids[columns]
    same = (preds >= 0) & (trues >= 0) & (preds % OFFSET == trues % OFFSET)
    in_void, in_crowd = trues < 0, same & (trues < num_things)
    areas = _sums(shared, rows, pred_ids)
    void_areas = _sums(shared * in_void, rows, pred_ids)
    union = (areas - void_areas)[rows] - shared + _sums(
        shared, columns, true_ids)[columns]
    matched = same & ~in_crowd & (2 * shared > union)
    excused = _sums(shared * (in_void | in_crowd), rows, pred_ids)
    missed_pred = (pred_ids >= 0) & (2 * excused <= areas)
    missed_pred[rows[matched]] = False
    # below are void and crowds
    missed_true = true_ids >= num_things
    missed_true[columns[matched]] = False
    classes = preds[matched] % OFFSET
    iou = shared[matched].double() / union[matched]
    return PanopticCounts(
        iou.new_zeros(num_classes).index_add(0, classes, iou), *(
            torch.bincount(labels % OFFSET, minlength=num_classes)
            for labels in (classes, pred_ids[missed_pred],
                           true_ids[missed_true])))


def _sums(values: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Add up values (K,) by place, one of (S,) each."""
    return torch.zeros_like(like).index_add(0, places, values)
