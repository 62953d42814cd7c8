"""Compute scores of the predicted instances of one image.

Shapes: H W size, P predicted and T true instances, X IoU thresholds.

Best Dice and difference in count: Scharr et al., "Leaf segmentation in plant
phenotyping: a collation study", Machine Vision and Applications 27, 2016.
Precision over thresholds: Caicedo et al., "Nucleus segmentation across
imaging experiments: the 2018 Data Science Bowl", Nature Methods 16, 2019.

Both scores are 1 if an image has neither predicted nor true instances, and 0
if it has only one kind.
"""
from typing import Dict, List, NamedTuple, Optional, Sequence, Set

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_labels
from mmpixsort.functional.precision import autocast_off

# 0.5, 0.55, ..., 0.95 as quotients, so that the rounded IoU 13 / 20 does not
# exceed the threshold 0.65
IOU_THRESHOLDS = tuple(step / 20 for step in range(10, 20))
# float32 represents every integer up to this one
MAX_COUNT = 2**24


class InstanceOverlaps(NamedTuple):
    """Areas and intersections of instances, from which scores are computed.

    Attributes:
        intersection: (P, T) int64 number of pixels shared by each pair.
        pred_areas: (P,) int64 areas in pixels, above 0.
        truth_areas: (T,) int64 areas in pixels, above 0.
    """

    intersection: Tensor
    pred_areas: Tensor
    truth_areas: Tensor


class BestDice(NamedTuple):
    """Mean Dice of instances with their best partners in the other map.

    Attributes:
        pred: () float64 mean over predicted instances, in [0, 1].
        truth: () float64 mean over true instances, in [0, 1].
    """

    pred: Tensor
    truth: Tensor


def instance_overlaps(pred: Tensor, truth: Tensor) -> InstanceOverlaps:
    """Count the pixels shared by the instances of two maps of ids.

    Ids may be of any size and have gaps; instances are returned in the order
    of their ids. An instance is missing from the result if all its pixels
    are ignored. The memory holds P * T counts.

    Args:
        pred: Integer ids of predicted instances, (H, W) or any other shape;
            0 or less for pixels of no instance.
        truth: Integer ids of true instances, of the same shape; 0 for pixels
            of no instance. Pixels with a negative id are ignored in both
            maps.

    Returns:
        :class:`InstanceOverlaps` with P predicted and T true instances.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: If the shapes of the maps differ.

    Example:
        >>> overlaps = instance_overlaps(torch.tensor([7, 7, 0, 9]),
        ...                              torch.tensor([1, 2, 2, -1]))
        >>> [counts.tolist() for counts in overlaps]
        [[[1, 1]], [2], [1, 2]]
    """
    pred = check_labels('pred', pred, pred.shape)
    truth = check_labels('truth', truth, pred.shape)
    counted = truth >= 0
    pred_ids, rows = pred[counted].unique(return_inverse=True)
    truth_ids, columns = truth[counted].unique(return_inverse=True)
    size = len(pred_ids), len(truth_ids)
    counts = torch.bincount(
        rows * size[1] + columns, minlength=size[0] * size[1]).view(size)
    is_pred, is_truth = pred_ids > 0, truth_ids > 0
    return InstanceOverlaps(counts[is_pred][:, is_truth],
                            counts.sum(1)[is_pred],
                            counts.sum(0)[is_truth])


def mask_overlaps(pred: Tensor,
                  truth: Tensor,
                  *,
                  valid: Optional[Tensor] = None) -> InstanceOverlaps:
    """Count the pixels shared by two stacks of masks.

    Masks of one stack may overlap. A mask without valid pixels is missing
    from the result.

    Args:
        pred: (P, H, W) bool masks of predicted instances.
        truth: (T, H, W) bool masks of true instances.
        valid: (H, W) bool mask of the pixels to count; None counts all.

    Returns:
        :class:`InstanceOverlaps` of the masks with valid pixels.

    Raises:
        ValueError: If masks are not bool or differ in size.

    Example:
        >>> pred = torch.tensor([[[1, 1, 0]], [[0, 1, 1]]]).bool()
        >>> mask_overlaps(pred, pred[:1]).intersection
        tensor([[2],
                [1]])
    """
    _check_masks('pred', pred, pred.shape[1:])
    _check_masks('truth', truth, pred.shape[1:])
    rows, columns = pred.flatten(1), truth.flatten(1)
    if valid is not None:
        _check_masks('valid', valid[None], pred.shape[1:])
        rows, columns = (
            masks[:, valid.flatten()] for masks in (rows, columns))
    rows, columns = (masks[masks.any(1)] for masks in (rows, columns))
    exact = torch.float if rows.shape[1] <= MAX_COUNT else torch.double
    # half precision represents integers up to 2048 only
    with autocast_off(rows.device):
        intersection = rows.to(exact) @ columns.to(exact).T
    return InstanceOverlaps(intersection.long(), rows.sum(1), columns.sum(1))


def best_dice(intersection: Tensor, pred_areas: Tensor,
              truth_areas: Tensor) -> BestDice:
    r"""Compute the mean best Dice of predicted and of true instances.

    .. math::
        BD(A, B) = \frac{1}{|A|} \sum_i \max_j
        \frac{2 |A_i \cap B_j|}{|A_i| + |B_j|}

    The arguments are the fields of :class:`InstanceOverlaps`, as
    :func:`instance_overlaps` and :func:`mask_overlaps` return them.

    Args:
        intersection: (P, T) number of pixels shared by each pair.
        pred_areas: (P,) areas of the predicted instances in pixels.
        truth_areas: (T,) areas of the true instances in pixels.

    Returns:
        BD(pred, truth) and BD(truth, pred). Both are 1 if there is no
        instance at all, and 0 if only one map has instances.

    Raises:
        ValueError: If the shapes do not fit.
    """
    _check_overlaps(intersection, pred_areas, truth_areas)
    if intersection.numel() == 0:
        value = pred_areas.new_full(
            (), len(pred_areas) == len(truth_areas), dtype=torch.double)
        return BestDice(value, value)
    dice = 2 * intersection.double() / (pred_areas[:, None] + truth_areas)
    return BestDice(dice.amax(1).mean(), dice.amax(0).mean())


def symmetric_best_dice(intersection: Tensor, pred_areas: Tensor,
                        truth_areas: Tensor) -> Tensor:
    """Compute the symmetric best Dice (SBD), the smaller of both best Dice.

    See :func:`best_dice` for the equation and the source.

    Args:
        intersection: (P, T) number of pixels shared by each pair.
        pred_areas: (P,) areas of the predicted instances in pixels.
        truth_areas: (T,) areas of the true instances in pixels.

    Returns:
        () float64 in [0, 1].

    Raises:
        ValueError: If the shapes do not fit.

    Example:
        >>> pred = torch.tensor([1, 1, 1, 1])
        >>> truth = torch.tensor([1, 1, 2, 2])
        >>> symmetric_best_dice(*instance_overlaps(pred, truth))
        tensor(0.6667, dtype=torch.float64)
    """
    return torch.minimum(*best_dice(intersection, pred_areas, truth_areas))


def count_difference(intersection: Tensor, pred_areas: Tensor,
                     truth_areas: Tensor) -> int:
    """Return the difference in count, DiC = P - T.

    P and T are the numbers of predicted and true instances. The arguments
    are the same as for :func:`best_dice`.
    """
    _check_overlaps(intersection, pred_areas, truth_areas)
    return len(pred_areas) - len(truth_areas)


def precision_at_iou(
    intersection: Tensor,
    pred_areas: Tensor,
    truth_areas: Tensor,
    *,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> Tensor:
    """Compute the precision TP / (TP + FP + FN) at each IoU threshold.

    TP is the largest number of disjoint pairs of a predicted and a true
    instance with an IoU above the threshold. FP and FN are the numbers of
    predicted and true instances left over. The mean over the default
    thresholds is the score of the Data Science Bowl 2018.

    Args:
        intersection: (P, T) number of pixels shared by each pair.
        pred_areas: (P,) areas of the predicted instances in pixels.
        truth_areas: (T,) areas of the true instances in pixels.
        thresholds: IoU thresholds in [0, 1). A pair with an IoU equal to the
            threshold does not match.

    Returns:
        (X,) float64 in [0, 1], one precision per threshold; 1 if there is no
        instance at all.

    Raises:
        ValueError: If a threshold is out of range or the shapes do not fit.

    Example:
        >>> overlaps = instance_overlaps(torch.tensor([1, 1, 1, 2]),
        ...                              torch.tensor([1, 1, 0, 2]))
        >>> precision_at_iou(*overlaps, thresholds=(.5, .75))
        tensor([1.0000, 0.3333], dtype=torch.float64)
    """
    _check_overlaps(intersection, pred_areas, truth_areas)
    if not thresholds or not all(0 <= value < 1 for value in thresholds):
        raise ValueError('`thresholds` must be one or more numbers in '
                         f'[0, 1), got {thresholds}')
    total = len(pred_areas) + len(truth_areas)
    if total == 0:
        return pred_areas.new_ones(len(thresholds), dtype=torch.double)
    union = pred_areas[:, None] + truth_areas - intersection
    iou = intersection.double() / union
    right = torch.tensor([_num_pairs(iou > value) for value in thresholds],
                         dtype=torch.double, device=iou.device)
    return right / (total - right)


def _num_pairs(fits: Tensor) -> int:
    """Return the size of the largest one-to-one matching of rows and columns.

    It is found by augmenting paths: a row may take the column of another
    row if that row can move to another column.

    Args:
        fits: (P, T) bool, True for pairs that may be matched.
    """
    partners: Dict[int, List[int]] = {}
    for row, column in fits.nonzero().tolist():
        partners.setdefault(row, []).append(column)
    holder: Dict[int, int] = {}

    def place(row: int, tried: Set[int]) -> bool:
        for column in partners[row]:
            if column not in tried:
                tried.add(column)
                if column not in holder or place(holder[column], tried):
                    holder[column] = row
                    return True
        return False

    return sum(place(row, set()) for row in partners)


def _check_masks(name: str, masks: Tensor, size: Sequence[int]) -> None:
    if (masks.dtype != torch.bool or masks.dim() != 3
            or masks.shape[1:] != size):
        raise ValueError(
            f'`{name}` must be bool masks of size {tuple(size)}, got '
            f'{masks.dtype} of shape {tuple(masks.shape)}; for an instance '
            'map, use `map == ids[:, None, None]`')


def _check_overlaps(intersection: Tensor, pred_areas: Tensor,
                    truth_areas: Tensor) -> None:
    if intersection.shape != (*pred_areas.shape, *truth_areas.shape):
        raise ValueError(
            '`intersection` must have shape (P, T) for areas (P,) and (T,), '
            f'got {tuple(intersection.shape)} for '
            f'{tuple(pred_areas.shape)} and {tuple(truth_areas.shape)}')
