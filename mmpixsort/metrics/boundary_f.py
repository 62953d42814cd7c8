"""Metric of the boundaries of a semantic segmentation.

Shapes: H W size, C classes, N images.
"""
import math
from typing import Dict, Optional, Sequence, Tuple, Union

import torch
from mmengine.evaluator import BaseMetric

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_fraction)
from mmpixsort.functional.scores.boundary import (BoundaryCounts,
                                                  boundary_counts,
                                                  boundary_scores)
from mmpixsort.registry import METRICS

from .samples import check_any_image, class_names, label_maps, percent

AVERAGES = ('image', 'dataset')


@METRICS.register_module()
class BoundaryFMetric(BaseMetric):
    """Score how well the predicted boundaries of every class are placed.

    A boundary pixel is matched if the other map has one of the same class
    within a tolerance, and F is the harmonic mean of precision and recall;
    see :func:`mmpixsort.functional.scores.boundary.boundary_counts`. The
    results are `BoundaryF.NAME` for each class and their mean `mBoundaryF`,
    in percent. The result of a class that has no boundary is NaN.

    Data samples are those of mmseg's `IoUMetric`.

    Args:
        tolerance: Largest distance of a match. A float in (0, 1] is a
            fraction of the image diagonal, rounded up to pixels (0.0075 in
            DAVIS and Csurka et al.); an int is a number of pixels.
        average: 'image' averages the F of a class over the images in which
            the class has a boundary (Csurka et al., 2013); 'dataset' adds up
            the pixels of all images before F is computed.
        ignore_index: Label of void pixels in the truth.
        void_edges: Whether a change between a class and void is a boundary.
            Use it for data sets that draw a band of void around objects,
            such as VOC.
        collect_device: Device on which ranks exchange results, 'cpu' or
            'gpu'.
        prefix: Prefix of the names of the results.

    Raises:
        TypeError: If `tolerance` is not a number.
        ValueError: If an option is out of range.
    """

    def __init__(self,
                 *,
                 tolerance: Union[int, float] = 0.0075,
                 average: str = 'image',
                 ignore_index: int = 255,
                 void_edges: bool = False,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if isinstance(tolerance, float):
            check_fraction('tolerance', tolerance)
        else:
            check_count('tolerance', tolerance, minimum=0)
        check_choice('average', average, AVERAGES)
        self.tolerance = tolerance
        self.average = average
        self.ignore_index = ignore_index
        self.void_edges = void_edges

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Append the boundary counts (4, C) of every image."""
        num_classes = len(class_names(self.dataset_meta))
        for sample in data_samples:
            prediction, truth = label_maps(sample)
            counts = boundary_counts(
                prediction,
                truth,
                tolerance=self._pixels(truth.shape),
                num_classes=num_classes,
                ignore_index=self.ignore_index,
                void_edges=self.void_edges)
            self.results.append(torch.stack(counts).cpu())

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Average over images or pool them, then average over classes."""
        check_any_image(results)
        counts = torch.stack(results)
        if self.average == 'dataset':
            counts = counts.sum(0, keepdim=True)
        scores = boundary_scores(BoundaryCounts(*counts.unbind(1)))
        by_class = scores.f.nanmean(0)
        metrics = dict(mBoundaryF=percent(by_class.nanmean()))
        metrics.update({
            f'BoundaryF.{name}': percent(value)
            for name, value in zip(class_names(self.dataset_meta), by_class)
        })
        return metrics

    def _pixels(self, size: Tuple[int, int]) -> int:
        """Return the tolerance in pixels for an image of size (H, W)."""
        if isinstance(self.tolerance, int):
            return self.tolerance
        return math.ceil(self.tolerance * math.hypot(*size))
