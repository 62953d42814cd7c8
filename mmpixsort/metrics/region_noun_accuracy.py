"""Metric of the names that a model gives to groups of pixels.

Shapes: H W size, K groups, C classes.
"""
from typing import Dict, NamedTuple, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmpixsort.functional.scores.segments import majority_classes
from mmpixsort.registry import METRICS

from .group_oracle import groups_of
from .samples import (check_any_image, class_names, label_maps, percent,
                      truth_map)


class GroupCounts(NamedTuple):
    """Numbers of groups in one image, which add up over images.

    Attributes:
        right: Number of foreground groups whose name is correct.
        total: Number of foreground groups.
    """

    right: int
    total: int


@METRICS.register_module()
class RegionNounAccuracy(BaseMetric):
    """Score the names of groups, regardless of how well their outlines fit.

    The true class of a group is that of most of its labelled pixels, and its
    name is the class that is predicted for most of its pixels. A group is
    foreground if its true class is not the background. The results are:

    - `region_noun_accuracy`: the percentage of foreground groups whose name
      is correct. Every group counts once, whatever its size.
    - `foreground_groups`: the mean number of foreground groups per image.

    Data samples need `pred_groups`, as in :class:`GroupOracleMetric`,
    `pred_sem_seg` and `gt_sem_seg`.

    Args:
        background: Name of the background class. If the data set has no such
            class, all groups with labelled pixels are foreground.
        ignore_index: Label of pixels that are ignored.
        collect_device: Device on which ranks exchange results, 'cpu' or
            'gpu'.
        prefix: Prefix of the names of the results.
    """

    def __init__(self,
                 *,
                 background: str = 'background',
                 ignore_index: int = 255,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.background = background
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compare the names of the groups of every image.

        Raises:
            ValueError: If a sample has no groups, or a map of groups whose
                size differs from that of the truth.
        """
        names = class_names(self.dataset_meta)
        for sample in data_samples:
            ids = groups_of(sample)
            truth_map(sample, ids, 'pred_groups')
            prediction, truth = label_maps(sample)
            self.results.append(
                self._compare(ids, prediction.to(ids.device),
                              truth.to(ids.device), names))

    def _compare(self, ids: Tensor, prediction: Tensor, truth: Tensor,
                 names: Sequence[str]) -> GroupCounts:
        options = dict(
            num_segments=int(ids.max()) + 1 if ids.numel() else 0,
            num_classes=len(names),
            ignore_index=self.ignore_index)
        true = majority_classes(ids, truth, **options)
        named = majority_classes(ids, prediction, **options)
        foreground = true >= 0
        if self.background in names:
            foreground &= true != names.index(self.background)
        right = (named == true) & foreground
        return GroupCounts(int(right.sum()), int(foreground.sum()))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Compute both results; without foreground groups accuracy is NaN."""
        check_any_image(results)
        right, total = torch.tensor(results, dtype=torch.double).sum(0)
        return dict(
            region_noun_accuracy=percent(right / total),
            foreground_groups=round(float(total) / len(results), 2))
