"""How many of the groups that show something are named rightly.

Shapes: H W size, K groups, C classes.
"""
from typing import Dict, NamedTuple, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmpixsort.functional.scores.segments import majority_classes
from mmpixsort.registry import METRICS

from .group_oracle import groups_of
from .samples import class_names, label_maps, percent, truth_map


class GroupCounts(NamedTuple):
    """Groups of one image; numbers of several images add up.

    Attributes:
        right: Foreground groups that are named rightly.
        total: Foreground groups.
    """

    right: int
    total: int


@METRICS.register_module()
class RegionNounAccuracy(BaseMetric):
    """Score the names of groups, apart from how well groups fit.

    - `region_noun_accuracy`: percent of the foreground groups whose name is
      that of their majority class, each counted once, whatever its size. A
      group is foreground where most of its labelled pixels bear a class
      other than background.
    - `foreground_groups`: how many of them there are in an image, on
      average.

    Reads `pred_groups` and `pred_sem_seg`; the name of a group is the class
    that most of its pixels got.

    Args:
        background: Name of the class that is no noun. Where the data set has
            none of this name, all are nouns.
        ignore_index: Label that takes no part.
        collect_device: 'cpu' or 'gpu'.
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
            ValueError: When a sample has no groups, or of another size.
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
        """Sum over images and divide; NaN without any foreground group."""
        right, total = torch.tensor(results, dtype=torch.double).sum(0)
        return dict(
            region_noun_accuracy=percent(right / total),
            foreground_groups=round(float(total) / len(results), 2))
