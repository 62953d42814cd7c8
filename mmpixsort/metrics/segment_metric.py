"""Metric of segments, and of the classes that are retrieved for them.

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

from .samples import (check_any_image, class_names, percent, segments_of,
                      truth_map)


class SegmentScores(NamedTuple):
    """Scores of one image; all but `num_neighbors` add up over images.

    Attributes:
        confusion: (C, C) int64 numbers of pixels in segments, by the
            majority class of the segment (row) and the true class (column).
        true: (C,) int64 numbers of pixels by true class, including those
            outside segments.
        retrieval: (3,) float64. For the segments with a labelled pixel: the
            sum of their fractions of correct neighbours, the number with a
            correct neighbour, and the number of all.
        num_neighbors: Number k of neighbours; 0 if nothing was retrieved.
    """

    confusion: Tensor
    true: Tensor
    retrieval: Tensor
    num_neighbors: int


@METRICS.register_module()
class SegmentMetric(BaseMetric):
    """Score the segments that a model found, regardless of their labels.

    It needs a segmentor with `test_cfg.retrieval`. The results, in percent
    over the pixels and segments of the data set, are:

    - `segment_purity`: the fraction of the labelled pixels in segments that
      have the majority class of their segment.
    - `oracle_mIoU`: the mIoU if every segment gets its majority class. No
      other labels of the segments have more correct pixels.
    - `retrieval_acc@k`: the fraction of the k neighbours that have the
      majority class of the segment, averaged over the segments with a
      labelled pixel (the accuracy in SPML's code).
    - `retrieval_any@k`: the fraction of these segments with at least one
      such neighbour.

    The last two are reported if `pred_segments` holds `neighbor_labels`.

    Args:
        ignore_index: Label of pixels that are ignored.
        collect_device: Device on which ranks exchange results, 'cpu' or
            'gpu'.
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
            ValueError: If a sample has no segments, or a segment has no row
                in `neighbor_labels`.
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
        """Compute the scores from the sums over all images."""
        check_any_image(results)
        # the engine may pass plain tuples
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
    """Return `confusion` (C, C) and `true` (C,) of SegmentScores."""
    classes = dict(num_classes=num_classes, ignore_index=ignore_index)
    painted = oracle_labels(ids[None], truth[None], **classes)[0]
    # `ignore_index` may be a class; a pixel outside segments has none
    painted = painted.masked_fill(ids < 0, -1)
    confusion = overlap_counts(
        painted, truth, num_rows=num_classes, **classes)
    true = overlap_counts(
        torch.zeros_like(truth), truth, num_rows=1, **classes)
    return confusion, true[0]


def _retrieval(ids: Tensor, truth: Tensor, neighbor_labels: Tensor, *,
               num_classes: int, ignore_index: int) -> Tensor:
    """Return `retrieval` (3,) of SegmentScores."""
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
    """Return the number k of neighbours, which must not differ."""
    distinct = sorted(set(nums))
    if len(distinct) > 1:
        raise ValueError(
            '`neighbor_labels` must have the same number of neighbours in '
            f'every image, got {distinct}, where 0 means none')
    return distinct[0]
