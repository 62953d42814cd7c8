"""How well predicted instances agree with true ones in one image.

Shapes: H W size, P predicted and T true instances, X IoU thresholds.

Best Dice and counts: Scharr et al., "Leaf segmentation in plant phenotyping:
a collation study", Machine Vision and Applications 27, 2016. Precision over
thresholds: Caicedo et al., "Nucleus segmentation across imaging experiments:
the 2018 Data Science Bowl", Nature Methods 16, 2019.

An image without instances, predicted and true, scores 1; one where only one
side has instances scores 0.
"""
from typing import Dict, List, NamedTuple, Optional, Sequence, Set

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_labels
from mmpixsort.functional.precision import autocast_off

# quotients, so that an IoU of exactly 13 / 20 is not above .65
IOU_THRESHOLDS = tuple(step / 20 for step in range(10, 20))
# float32 counts every pixel up to here
MAX_COUNT = 2**24


class InstanceOverlaps(NamedTuple):
    """Pixels of instances, what all scores are made of.

    Attributes:
        intersection: (P, T) int64.
        pred_areas: (P,) int64, above 0.
        truth_areas: (T,) int64, above 0.
    """

    intersection: Tensor
    pred_areas: Tensor
    truth_areas: Tensor


class BestDice(NamedTuple):
    """Mean over instances of the Dice with the best of the other side.

    Attributes:
        pred: () float64 in [0, 1], over predicted instances.
        truth: () float64 in [0, 1], over true instances.
    """

    pred: Tensor
    truth: Tensor


def instance_overlaps(pred: Tensor, truth: Tensor) -> InstanceOverlaps:
    """Count the pixels that instances of two maps share.

    Ids may be of any size and have gaps; instances are in the order of their
    ids. An instance without a pixel outside ignored ones does not exist. It
    takes memory for P * T counts.

    Args:
        pred: (H, W) integer, or of any shape; 0 or less: no instance.
        truth: As `pred`, 0: no instance; negative: ignored, counts for
            neither side.

    Returns:
        Intersection (P, T) and areas (P,), (T,).

    Raises:
        TypeError: On a map that is not of integers.
        ValueError: On maps of different shapes.

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
    """Count the pixels that masks share, which may overlap on either side.

    A mask without a valid pixel does not exist: it has no row.

    Args:
        pred: (P, H, W) bool.
        truth: (T, H, W) bool.
        valid: (H, W) bool, pixels that count; None: all.

    Returns:
        Intersection (P, T) and areas (P,), (T,).

    Raises:
        ValueError: On masks that are not bool or differ in size.

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
    # half precision counts up to 2048 only
    with autocast_off(rows.device):
        intersection = rows.to(exact) @ columns.to(exact).T
    return InstanceOverlaps(intersection.long(), rows.sum(1), columns.sum(1))


def best_dice(intersection: Tensor, pred_areas: Tensor,
              truth_areas: Tensor) -> BestDice:
    r"""Return the mean best Dice of predicted and of true instances.

    .. math::
        BD(A, B) = \frac{1}{|A|} \sum_i \max_j
        \frac{2 |A_i \cap B_j|}{|A_i| + |B_j|}

    Takes `*instance_overlaps(pred, truth)`, or of `mask_overlaps`.

    Args:
        intersection: (P, T) pixels.
        pred_areas: (P,) pixels.
        truth_areas: (T,) pixels.

    Returns:
        BD(pred, truth) and BD(truth, pred); both 1 without any instance,
        both 0 when only one side has instances.

    Raises:
        ValueError: On areas that do not fit the intersection.
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
    """Return SBD, the smaller of the two best Dice: () float64 in [0, 1].

    See :func:`best_dice` for the arguments.

    Example:
        >>> pred = torch.tensor([1, 1, 1, 1])
        >>> truth = torch.tensor([1, 1, 2, 2])
        >>> symmetric_best_dice(*instance_overlaps(pred, truth))
        tensor(0.6667, dtype=torch.float64)
    """
    return torch.minimum(*best_dice(intersection, pred_areas, truth_areas))


def count_difference(intersection: Tensor, pred_areas: Tensor,
                     truth_areas: Tensor) -> int:
    """Return DiC = P - T; see :func:`best_dice` for the arguments."""
    _check_overlaps(intersection, pred_areas, truth_areas)
    return len(pred_areas) - len(truth_areas)


def precision_at_iou(
    intersection: Tensor,
    pred_areas: Tensor,
    truth_areas: Tensor,
    *,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> Tensor:
    """Return TP / (TP + FP + FN) at IoU thresholds; the mean is DSB2018's.

    TP is the most pairs with IoU > threshold, each instance in one pair at
    most. Where instances of one side do not overlap, thresholds from 0.5 on
    leave one partner to choose at most.

    Args:
        intersection: (P, T) pixels.
        pred_areas: (P,) pixels.
        truth_areas: (T,) pixels.
        thresholds: In [0, 1); an IoU of just the threshold is no match.

    Returns:
        (X,) float64 in [0, 1], by threshold; 1 without any instance.

    Raises:
        ValueError: On thresholds out of range, or areas that do not fit.

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
    """Return the size of the largest one-to-one matching in fits (P, T).

    By augmenting paths: a row gets a column if the row that holds it can
    move to another.
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
            f'{masks.dtype} of shape {tuple(masks.shape)}; the masks of an '
            'instance map are `map == ids[:, None, None]`')


def _check_overlaps(intersection: Tensor, pred_areas: Tensor,
                    truth_areas: Tensor) -> None:
    if intersection.shape != (*pred_areas.shape, *truth_areas.shape):
        raise ValueError(
            '`intersection` must have shape (P, T) for areas (P,) and (T,), '
            f'got {tuple(intersection.shape)} for '
            f'{tuple(pred_areas.shape)} and {tuple(truth_areas.shape)}')
