r"""Compute the panoptic quality (PQ) without the package panopticapi.

Shapes: H W size, C classes, of which the first T are things.

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

OFFSET = 1000  # factor of the instance in a panoptic id, as in mmdet
NO_SEGMENT = -1  # id of pixels that belong to no segment


class PanopticCounts(NamedTuple):
    """Matched and unmatched segments of each class, which add up over images.

    Attributes:
        iou: (C,) float64 sum of the IoU of the matched pairs.
        tp: (C,) int64 number of matched pairs.
        fp: (C,) int64 number of predicted segments without a match.
        fn: (C,) int64 number of true segments without a match.
    """

    iou: Tensor
    tp: Tensor
    fp: Tensor
    fn: Tensor


class ClassQuality(NamedTuple):
    """Panoptic scores of each class in [0, 1].

    Attributes:
        pq: (C,) float64 panoptic quality; this and the other scores are NaN
            for a class without any segment.
        sq: (C,) float64 segmentation quality, the mean IoU of the matched
            pairs; 0 without a match.
        rq: (C,) float64 recognition quality, the F1 score of the segments.
    """

    pq: Tensor
    sq: Tensor
    rq: Tensor


class _Overlaps(NamedTuple):
    """P predicted and Q true segments, and the K pairs of them that overlap.

    Attributes:
        pred_ids: (P,) int64 ids of predicted segments, which may include
            `NO_SEGMENT`.
        true_ids: (Q,) int64 ids of true segments, which may include
            `NO_SEGMENT` for void.
        rows: (K,) int64 index of each pair in `pred_ids`.
        columns: (K,) int64 index of each pair in `true_ids`.
        pixels: (K,) int64 number of shared pixels, above 0.
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
    """Match the predicted and true segments of one image, and count them.

    A segment consists of the pixels of an instance of a thing class, or of
    all pixels of a stuff class. A crowd consists of true pixels of a thing
    class without annotated instances; it is no segment. Two segments match
    if they have the same class and an IoU above 0.5, where predicted pixels
    in void are left out of the union. An unmatched predicted segment is not
    counted if more than half of it lies in void or in a crowd of its class.
    Pixels that are predicted as void belong to no segment.

    Args:
        prediction: (H, W) integer panoptic ids, class + 1000 * instance. The
            instance of stuff is ignored; C or a negative number is void.
        semantic: (H, W) integer true classes in [0, C), or `ignore_index`
            for void.
        instances: (H, W) integer true instances of things: 1, 2, ..., or a
            negative number for a crowd. Values at other pixels are ignored.
        num_classes: Number of classes C, below 1000.
        num_things: Number of thing classes T, from 0 to C.
        ignore_index: Label of void in `semantic`.

    Returns:
        :class:`PanopticCounts` of one image.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: If the shapes of the maps differ, a class is out of
            range, or a true thing pixel has neither an instance nor the mark
            of a crowd.

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
    """Compute PQ, SQ and RQ of each class from counts of segments.

    Args:
        counts: Counts of shape (C,), of one image or summed over many.

    Returns:
        :class:`ClassQuality`, float64 in [0, 1].
    """
    iou, tp, fp, fn = (part.double() for part in counts)
    # a class without any segment becomes 0 / 0, which is NaN
    total = tp + .5 * fp + .5 * fn
    sq = (iou / tp.clamp(min=1)).masked_fill(total == 0, torch.nan)
    return ClassQuality(iou / total, sq, tp / total)


def panoptic_quality(counts: PanopticCounts, *,
                     num_things: int) -> Dict[str, Tensor]:
    """Average PQ, SQ and RQ over the classes that have a segment.

    Args:
        counts: Counts of shape (C,), of one image or summed over many.
        num_things: Number of thing classes T, from 0 to C.

    Returns:
        Dict of scores () float64 in [0, 1]: `PQ`, `SQ`, `RQ` over all
        classes, `PQ_th`, `SQ_th`, `RQ_th` over things, and `PQ_st`, `SQ_st`,
        `RQ_st` over stuff. A score is NaN if none of its classes has a
        segment.

    Raises:
        ValueError: If there are more things than classes.

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
    """Raise unless the numbers of classes C and thing classes T are valid.

    Args:
        num_classes: C, which must fit into a panoptic id (below 1000).
        num_things: T, which must lie in [0, C].

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If a number is out of range.
    """
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
    """Check the maps and return them as int64."""
    if prediction.dim() != 2:
        raise ValueError(
            '`prediction` must have shape (H, W), got '
            f'{tuple(prediction.shape)}; add up the counts of several images')
    return (check_labels('prediction', prediction, prediction.shape),
            check_labels('semantic', semantic, prediction.shape),
            check_labels('instances', instances, prediction.shape))


def _runs(*maps: Tensor) -> Tuple[Tensor, ...]:
    """Merge runs of pixels in which no map changes.

    Sorting is faster on runs, which are tens of times fewer than pixels.

    Returns:
        The value of each map in every run, and the lengths of the runs.
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
    """Return the ids of predicted segments, and `NO_SEGMENT` for void.

    The id of a thing is class + 1000 * instance; the id of stuff is the
    class.
    """
    classes = prediction % OFFSET
    void = (prediction < 0) | (classes == num_classes)
    wrong = classes[~void & (classes > num_classes)]
    if len(wrong):
        raise ValueError(
            f'`prediction` must be class + {OFFSET} * instance with classes '
            f'in [0, {num_classes}), or {num_classes} or negative for void, '
            f'got class {int(wrong[0])}; set `num_classes` to the number of '
            'classes of the model')
    ids = torch.where(classes < num_things, prediction, classes)
    return ids.masked_fill(void, NO_SEGMENT)


def _true_ids(semantic: Tensor, instances: Tensor, num_classes: int,
              num_things: int, ignore_index: int) -> Tensor:
    """Return the ids of true segments, and `NO_SEGMENT` for void.

    The id of a thing is class + 1000 * instance; the id of stuff or of a
    crowd is the class.
    """
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
    """Count the pixels shared by each pair of ids that overlaps.

    Args:
        pred_ids: Predicted id of each run.
        true_ids: True id of each run.
        pixels: Number of pixels of each run.
    """
    pred_ids, rows = pred_ids.unique(return_inverse=True)
    true_ids, columns = true_ids.unique(return_inverse=True)
    # a table of all pairs could be too large: there may be 10^4 segments in
    # each map
    pairs, places = torch.unique(
        rows * len(true_ids) + columns, return_inverse=True)
    return _Overlaps(pred_ids, true_ids, pairs // len(true_ids),
                     pairs % len(true_ids), _sums(pixels, places, pairs))


def _match(overlaps: _Overlaps, num_classes: int,
           num_things: int) -> PanopticCounts:
    """Match predicted and true segments, and count them by class.

    Matches are unique, because a segment can have an IoU above 0.5 with one
    other segment only.
    """
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
    # ids below this are void and crowds, which are not counted
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
    """Add values (K,) at their places to zeros of the shape of `like`."""
    return torch.zeros_like(like).index_add(0, places, values)
