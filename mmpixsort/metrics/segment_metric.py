"""How good segments are, and what retrieval says of them.

Shapes: H W size, C classes, S segments, k neighbours.
"""
from typing import Dict, NamedTuple, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmpixsort.functional.scores.segments import (majority_classes,
                                                  oracle_labels,
                                                  overlap_counts,
                                                  retrieval_accuracy)
from mmpixsort.registry import METRICS

from .samples import class_names, percent, segments_of, truth_map


class SegmentScores(NamedTuple):
    """What one image adds; numbers of several images add up.

    Attributes:
        confusion: (C, C) int64 pixels, oracle class by true class.
        true: (C,) int64 pixels, those outside segments too.
        retrieval: (3,) float64, sums over segments of the share of right
            neighbours and of having any, and the number of segments.
        num_neighbors: k, 0 where nothing was retrieved.
    """

    confusion: Tensor
    true: Tensor
    retrieval: Tensor
    num_neighbors: int


@METRICS.register_module()
class SegmentMetric(BaseMetric):
    """Score the segments that a model found, apart from their labels.

    In percent, over the pixels and segments of the data set:

    - `segment_purity`: labelled pixels of segments that carry the majority
      class of their segment.
    - `oracle_mIoU`: mIoU of segments painted with their majority class: no
      labelling of them gets more pixels right.
    - `retrieval_acc@k`: neighbours that carry the majority class of their
      segment, averaged over segments with a labelled pixel (the accuracy of
      SPML's code); `retrieval_any@k`: segments with at least one such
      neighbour. Only where `pred_segments` holds `neighbor_labels`.

    Needs `test_cfg.retrieval` of the segmentor.

    Args:
        ignore_index: Label that takes no part.
        collect_device: 'cpu' or 'gpu'.
        prefix: Prefix of the names of the results.
    """

    def __init__(self,
                 *,
                 ignore_index: int = 255,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the segments of every image.

        Raises:
            ValueError: When a sample has no segments, or segment ids without
                a row of neighbours.
        """
        classes = dict(
            num_classes=len(class_names(self.dataset_meta)),
            ignore_index=self.ignore_index)
        for sample in data_samples:
            ids, neighbor_labels = segments_of(sample)
            truth = truth_map(sample, ids, 'pred_segments')
            confusion, true = _oracle(ids, truth, **classes)
            retrieval, num_neighbors = torch.zeros(3), 0
            if neighbor_labels is not None:
                retrieval = _retrieval(ids, truth, neighbor_labels, **classes)
                num_neighbors = neighbor_labels.shape[1]
            self.results.append(
                SegmentScores(confusion.cpu(), true.cpu(),
                              retrieval.double().cpu(), num_neighbors))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Sum over images and divide."""
        # the engine may hand plain tuples
        confusions, trues, retrievals, nums = zip(*results)
        confusion, true, retrieval = (
            torch.stack(part).sum(0)
            for part in (confusions, trues, retrievals))
        right = confusion.diagonal()
        union = confusion.sum(1) + true - right
        metrics = dict(
            segment_purity=percent(right.sum() / confusion.sum()),
            oracle_mIoU=percent((right / union).nanmean()))
        num_neighbors = _common(nums)
        if num_neighbors:
            share, found = retrieval[:2] / retrieval[2]
            metrics[f'retrieval_acc@{num_neighbors}'] = percent(share)
            metrics[f'retrieval_any@{num_neighbors}'] = percent(found)
        return metrics


def _oracle(ids: Tensor, truth: Tensor, *, num_classes: int,
            ignore_index: int) -> tuple:
    """Return the confusion (C, C) of the oracle, and the true pixels (C,).
    """
    classes = dict(num_classes=num_classes, ignore_index=ignore_index)
    painted = oracle_labels(ids[None], truth[None], **classes)[0]
    # unlike what is painted where there is no segment, never a class
    painted = painted.masked_fill(ids < 0, -1)
    confusion = overlap_counts(
        painted, truth, num_rows=num_classes, **classes)
    true = overlap_counts(
        torch.zeros_like(truth), truth, num_rows=1, **classes)
    return confusion, true[0]


def _retrieval(ids: Tensor, truth: Tensor, neighbor_labels: Tensor, *,
               num_classes: int, ignore_index: int) -> Tensor:
    """Return sums over segments: right share, any right, segments (3,)."""
    num_segments = len(neighbor_labels)
    if ids.numel() and ids.max() >= num_segments:
        raise ValueError(
            '`neighbor_labels` of `pred_segments` must have a row for every '
            f'segment id up to {int(ids.max())}, got {num_segments} rows')
    majority = majority_classes(
        ids,
        truth,
        num_segments=num_segments,
        num_classes=num_classes,
        ignore_index=ignore_index)
    count = (majority >= 0).sum()
    accuracy = retrieval_accuracy(neighbor_labels, majority)
    sums = torch.stack(accuracy).double() * count
    return torch.cat([sums.nan_to_num(), count[None]])


def _common(nums: Sequence[int]) -> int:
    """Return k, the same for all images."""
    distinct = sorted(set(nums))
    if len(distinct) > 1:
        raise ValueError(
            '`neighbor_labels` must have as many neighbours in every image, '
            f'got {distinct}; 0: none')
    return distinct[0]
