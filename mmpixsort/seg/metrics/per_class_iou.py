"""The IoU metric of MMSegmentation with the score of every class."""
from typing import Dict

import numpy as np
from mmseg.evaluation import IoUMetric

from mmpixsort.metrics.samples import check_any_image
from mmpixsort.registry import METRICS


@METRICS.register_module()
class PerClassIoUMetric(IoUMetric):
    """`IoUMetric` with an additional entry `IoU.NAME` for every class.

    The host prints the scores of classes in a table but returns only their
    means. Use this metric to save or plot the score of each class. Scores
    are in percent. A class that occurs neither in the labels nor in the
    predictions gets NaN, as in the host.
    """

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Compute the host's metrics and the IoU of each class."""
        if not self.format_only:
            check_any_image(results)
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        intersection, union = (sum(part) for part in list(zip(*results))[:2])
        iou = (intersection / union).cpu().numpy() * 100
        names = self.dataset_meta['classes']
        metrics.update({
            f'IoU.{name}': float(np.round(value, 2))
            for name, value in zip(names, iou)
        })
        return metrics
