"""Boundary F score as a metric of mmengine."""
import math
from typing import Dict, List, Sequence, Union

import torch
from mmengine.evaluator import BaseMetric

from ..functional.boundary import (BoundaryCounts, boundary_counts,
                                   boundary_f)
from ..functional.checks import check_choice
from ..registry import METRICS


@METRICS.register_module()
class BoundaryFMetric(BaseMetric):
    """Score how well the boundaries of each class are found, in percent.

    See :func:`mmpixsort.functional.boundary.boundary_counts`. Put it beside
    the host's metric: ``test_evaluator = [dict(type='IoUMetric'),
    dict(type='mmpixsort.BoundaryFMetric')]``.

    Args:
        tolerance: Pixels for an integer; a share of the image's diagonal for
            a fraction, 0.0075 as in Csurka et al.
        average: 'image': of each class over the images that have it, then
            over classes (Csurka et al.); 'dataset': of counts over all
            images.
        ignore_index: Label of unknown pixels.
        collect_device: As in mmengine.
        prefix: As in mmengine.

    Raises:
        ValueError: On options out of range.
    """

    def __init__(self,
                 *,
                 tolerance: Union[int, float] = 0.0075,
                 average: str = 'image',
                 ignore_index: int = 255,
                 collect_device: str = 'cpu',
                 prefix: str = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if tolerance < 0:
            raise ValueError(
                f'`tolerance` must not be negative, got {tolerance}')
        check_choice('average', average, ('image', 'dataset'))
        self.tolerance = tolerance
        self.average = average
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence) -> None:
        """Count the boundary pixels of a batch."""
        num_classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            prediction = sample['pred_sem_seg']['data'].squeeze(0)
            truth = sample['gt_sem_seg']['data'].squeeze(0)
            counts = boundary_counts(
                prediction,
                truth.to(prediction.device),
                num_classes=num_classes,
                tolerance=self._pixels(*truth.shape),
                ignore_index=self.ignore_index)
            self.results.append(torch.stack(counts).cpu())

    def _pixels(self, height: int, width: int) -> int:
        if isinstance(self.tolerance, int):
            return self.tolerance
        return round(self.tolerance * math.hypot(height, width))

    def compute_metrics(self, results: List) -> Dict[str, float]:
        """Return the mean and the score of every class."""
        if self.average == 'dataset':
            scores = boundary_f(BoundaryCounts(*sum(results)))
        else:
            scores = torch.stack([
                boundary_f(BoundaryCounts(*counts)) for counts in results
            ]).nanmean(0)
        scores = (scores * 100).double()
        metrics = dict(mBoundaryF=round(scores.nanmean().item(), 2))
        names = self.dataset_meta['classes']
        metrics.update({
            f'BoundaryF.{name}': round(score, 2)
            for name, score in zip(names, scores.tolist())
        })
        return metrics
