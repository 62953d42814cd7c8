"""Scores of instance segmentation that need no classes.

Shapes: H W size of the original image, n instances.
"""
from logging import WARNING
from typing import Dict, NamedTuple, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmpixsort.functional.checks import check_labels, check_non_negative
from mmpixsort.functional.instances.id_masks import paint_masks
from mmpixsort.functional.scores.instances import (best_dice, count_difference,
                                                   instance_overlaps,
                                                   precision_at_iou)
from mmpixsort.registry import METRICS

from .samples import check_any_image, field_of, map_of, percent

PAINT = ('put `mmpixsort.PaintInstanceMap` and '
         '`mmpixsort.PackInstanceInputs` into the pipeline of the data set '
         'that is scored')
PREDICT = 'take a model that predicts masks of instances with scores'


class InstanceScores(NamedTuple):
    """Scores of one image.

    Attributes:
        best_dice_pred: In [0, 1].
        best_dice_truth: In [0, 1].
        count_difference: Predicted less true instances.
        precision: In [0, 1], mean over IoU .5, .55, ..., .95.
        precision50: In [0, 1], at IoU .5.
        num_truth: True instances.
    """

    best_dice_pred: float
    best_dice_truth: float
    count_difference: int
    precision: float
    precision50: float
    num_truth: int


@METRICS.register_module()
class InstanceMapMetric(BaseMetric):
    """Compare predicted instances with a map of the true ones.

    Predicted masks become a map: where they overlap, the one with the
    highest score counts, and one that is hidden altogether does not.
    Classes are ignored. The mean over images of

    - `SBD`: symmetric best Dice, in percent, the smaller in each image of
      `best_dice_pred` (over predicted instances) and `best_dice_truth` (over
      true ones).
    - `DiC`, `abs_DiC`: predicted less true instances, signed and absolute.
    - `DSB_AP`: TP / (TP + FP + FN) in percent, mean over the IoU thresholds
      .5, .55, ..., .95, and `DSB_AP50` at .5; a match has an IoU above the
      threshold.

    An image without instances, predicted and true, has 100 percent, and one
    where only one side has instances 0. Over a data set without any instance,
    predicted and true, every percentage is NaN. See
    :mod:`mmpixsort.functional.scores.instances` for the sources.

    Takes `pred_instances` (masks, scores) as mmdet's `CocoMetric` does, and
    `gt_instance_map` (1, H, W): 0 background, 1..n instances, negative:
    ignored, counts for neither.

    Args:
        score_thr: Masks with a lower score are left out, 0 or more.
        collect_device: 'cpu' or 'gpu'.
        prefix: Prefix of the names of the results.

    Raises:
        ValueError: On a negative threshold.
    """

    def __init__(self,
                 *,
                 score_thr: float = 0.,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        check_non_negative('score_thr', score_thr)
        self.score_thr = score_thr

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score every image.

        Raises:
            TypeError: On masks of floats.
            ValueError: When a sample lacks a field, or its sizes differ.
        """
        for sample in data_samples:
            truth = map_of(sample, 'gt_instance_map', 'data', remedy=PAINT)
            masks, scores = (
                field_of(sample, 'pred_instances', key, remedy=PREDICT)
                for key in ('masks', 'scores'))
            _check_size(masks, scores, truth)
            kept = (scores >= self.score_thr).to(masks.device)
            scores = scores.to(masks.device)
            if not kept.all():  # a copy of all masks
                masks, scores = masks[kept], scores[kept]
            pred = paint_masks(masks, scores)
            self.results.append(_scores(pred, truth.to(pred.device)))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Average over images.

        A data set without a true instance gets a warning: most often its
        annotation was not read.

        Raises:
            ValueError: When there is no image.
        """
        check_any_image(results)
        # the engine may hand plain tuples
        table = torch.tensor(results, dtype=torch.double)
        if not table[:, -1].any():
            _warn(len(table))
        pred, truth, difference, precision, precision50, _ = table.unbind(1)
        shares = dict(
            SBD=torch.minimum(pred, truth),
            best_dice_pred=pred,
            best_dice_truth=truth,
            DSB_AP=precision,
            DSB_AP50=precision50)
        counts = dict(DiC=difference, abs_DiC=difference.abs())
        if not table[:, [2, -1]].any():  # neither predicted nor true
            shares = {name: values * torch.nan
                      for name, values in shares.items()}
        return {
            **{name: percent(values.mean())
               for name, values in shares.items()},
            **{name: round(values.mean().item(), 2)
               for name, values in counts.items()}
        }


def _scores(pred: Tensor, truth: Tensor) -> InstanceScores:
    """Score two maps (H, W)."""
    overlaps = instance_overlaps(pred, truth)
    dice = best_dice(*overlaps)
    precision = precision_at_iou(*overlaps)
    return InstanceScores(
        dice.pred.item(), dice.truth.item(), count_difference(*overlaps),
        precision.mean().item(), precision[0].item(),
        len(overlaps.truth_areas))


def _warn(num_images: int) -> None:
    """Say that there is nothing to find."""
    print_log(
        f'none of {num_images} images has a true instance: look at the '
        'classes and annotations of the data set that is scored', 'current',
        WARNING)


def _check_size(masks: Tensor, scores: Tensor, truth: Tensor) -> None:
    """Raise unless there is one mask (H, W) for every score."""
    check_labels('pred_instances.masks', masks, masks.shape)
    expected = (*scores.shape, *truth.shape)
    if masks.shape != expected:
        raise ValueError(
            '`pred_instances.masks` must have a mask for every score and the '
            f'size of `gt_instance_map`, {expected}, got '
            f'{tuple(masks.shape)}; both must have the size of the original '
            'image: load the annotation after `Resize` in the test pipeline')
