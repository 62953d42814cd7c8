"""Metric of instance segmentation that needs no classes.

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
        best_dice_pred: Best Dice, averaged over predicted instances, in
            [0, 1].
        best_dice_truth: Best Dice, averaged over true instances, in [0, 1].
        count_difference: Number of predicted minus number of true instances.
        precision: TP / (TP + FP + FN), averaged over the IoU thresholds .5,
            .55, ..., .95, in [0, 1].
        precision50: TP / (TP + FP + FN) at the IoU threshold .5, in [0, 1].
        num_truth: Number of true instances.
    """

    best_dice_pred: float
    best_dice_truth: float
    count_difference: int
    precision: float
    precision50: float
    num_truth: int


@METRICS.register_module()
class InstanceMapMetric(BaseMetric):
    """Compare predicted instances with a map of the true instances.

    Classes are ignored. Where predicted masks overlap, the pixel belongs to
    the mask with the highest score; a mask without any such pixel does not
    count. The results are means over images:

    - `best_dice_pred` and `best_dice_truth`: the best Dice, averaged over
      predicted and over true instances, in percent.
    - `SBD`: symmetric best Dice, the smaller of these two in each image, in
      percent.
    - `DiC` and `abs_DiC`: the number of predicted minus the number of true
      instances, and the absolute value of this difference.
    - `DSB_AP`: TP / (TP + FP + FN) in percent, averaged over the IoU
      thresholds .5, .55, ..., .95. A match has an IoU above the threshold.
    - `DSB_AP50`: the same at the threshold .5.

    The percentages of an image are 100 if it has neither predicted nor true
    instances, and 0 if it has only one of these. They are NaN for a data set
    that has neither. See :mod:`mmpixsort.functional.scores.instances` for
    the sources.

    Data samples need `pred_instances` with masks and scores, as for mmdet's
    `CocoMetric`, and `gt_instance_map` (1, H, W), which is 0 in the
    background, 1 to n in instances, and negative in pixels that are ignored.

    Args:
        score_thr: Smallest score of the masks that are used, 0 or more.
        collect_device: Device on which ranks exchange results, 'cpu' or
            'gpu'.
        prefix: Prefix of the names of the results.

    Raises:
        ValueError: If the threshold is negative.
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
            TypeError: If masks are floating tensors.
            ValueError: If a sample lacks a field, or sizes differ.
        """
        for sample in data_samples:
            truth = map_of(sample, 'gt_instance_map', 'data', remedy=PAINT)
            masks, scores = (
                field_of(sample, 'pred_instances', key, remedy=PREDICT)
                for key in ('masks', 'scores'))
            _check_size(masks, scores, truth)
            kept = (scores >= self.score_thr).to(masks.device)
            scores = scores.to(masks.device)
            if not kept.all():  # indexing would copy all masks
                masks, scores = masks[kept], scores[kept]
            pred = paint_masks(masks, scores)
            self.results.append(_scores(pred, truth.to(pred.device)))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Average the scores over images.

        A data set without true instances causes a warning, as its annotation
        has probably not been read.

        Raises:
            ValueError: If there is no image.
        """
        check_any_image(results)
        # the engine may pass plain tuples
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
    """Score a predicted against a true map (H, W)."""
    overlaps = instance_overlaps(pred, truth)
    dice = best_dice(*overlaps)
    precision = precision_at_iou(*overlaps)
    return InstanceScores(
        dice.pred.item(), dice.truth.item(), count_difference(*overlaps),
        precision.mean().item(), precision[0].item(),
        len(overlaps.truth_areas))


def _warn(num_images: int) -> None:
    """Log a warning that the truth has no instances."""
    print_log(
        f'none of {num_images} images has a true instance: check the '
        'classes and annotations of the data set that is scored', 'current',
        WARNING)


def _check_size(masks: Tensor, scores: Tensor, truth: Tensor) -> None:
    """Raise an error unless there is one mask (H, W) for every score."""
    check_labels('pred_instances.masks', masks, masks.shape)
    expected = (*scores.shape, *truth.shape)
    if masks.shape != expected:
        raise ValueError(
            '`pred_instances.masks` must have a mask for every score and the '
            f'size of `gt_instance_map`, shape {expected}, got '
            f'{tuple(masks.shape)}; both must have the size of the original '
            'image: load the annotation after `Resize` in the test pipeline')
