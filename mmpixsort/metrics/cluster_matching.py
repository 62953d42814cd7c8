"""Score of clusters that have no names, after matching them to classes.

Shapes: K clusters, C classes.
"""
from typing import Dict, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.scores.segments import overlap_counts
from mmpixsort.registry import METRICS
from mmpixsort.utils.extras import extra_error

from .samples import class_names, label_maps, percent


@METRICS.register_module()
class ClusterMatchingMetric(BaseMetric):
    """Match predicted clusters to classes one to one, then score.

    The Hungarian assignment that gets most pixels of the whole data set
    right (as in Ji et al., "Invariant Information Clustering", ICCV 2019,
    https://arxiv.org/abs/1807.06653). The pixels of a cluster without a
    class count as wrong, and so do those of a class without a cluster. A
    class without a labelled pixel takes no cluster; its IoU is NaN.

    In percent, prefixed with `cluster/` by default: `mIoU`, `aAcc` and
    `IoU.NAME` of each class. Takes what mmseg's `IoUMetric` takes, with
    clusters in `pred_sem_seg`.

    Args:
        num_clusters: K, more or fewer than C; None: C.
        ignore_index: Label that takes no part.
        collect_device: 'cpu' or 'gpu'.
        prefix: Prefix of the names of the results; None: 'cluster'.

    Raises:
        ValueError: On a number of clusters out of range.
    """

    default_prefix = 'cluster'

    def __init__(self,
                 *,
                 num_clusters: Optional[int] = None,
                 ignore_index: int = 255,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if num_clusters is not None:
            check_count('num_clusters', num_clusters)
        self.num_clusters = num_clusters
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count pixels (K, C) of cluster and class in every image.

        Raises:
            ValueError: When a cluster lies outside [0, K).
        """
        num_classes = len(class_names(self.dataset_meta))
        num_clusters = self.num_clusters or num_classes
        for sample in data_samples:
            clusters, truth = label_maps(sample)
            _check_clusters(clusters, num_clusters)
            self.results.append(
                overlap_counts(
                    clusters,
                    truth,
                    num_rows=num_clusters,
                    num_classes=num_classes,
                    ignore_index=self.ignore_index).cpu())

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Match on the counts of all images, then score."""
        counts = torch.stack(results).sum(0)
        cluster_of = match_clusters(counts)
        matched = cluster_of >= 0
        classes = torch.arange(counts.shape[1])
        # of no cluster: nothing right and nothing predicted
        right = counts[cluster_of, classes].where(matched, 0)
        predicted = counts.sum(1)[cluster_of].where(matched, 0)
        iou = right / (predicted + counts.sum(0) - right)
        metrics = dict(
            mIoU=percent(iou.nanmean()),
            aAcc=percent(right.sum() / counts.sum()))
        metrics.update({
            f'IoU.{name}': percent(value)
            for name, value in zip(class_names(self.dataset_meta), iou)
        })
        return metrics


def match_clusters(counts: Tensor) -> Tensor:
    """Give every class at most one cluster, so that most pixels agree.

    Args:
        counts: (K, C) int64 pixels of cluster and class.

    Returns:
        (C,) int64 cluster of each class, -1: none was left, or the class
        has no pixels.

    Raises:
        ImportError: When SciPy is missing.

    Example:
        >>> match_clusters(torch.tensor([[0, 9], [1, 9], [5, 0]]))
        tensor([2, 0])
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise extra_error(
            'matching clusters needs SciPy', 'metrics', error) from error
    present = counts.sum(0).nonzero()[:, 0].cpu()
    clusters, columns = linear_sum_assignment(
        counts.cpu()[:, present].numpy(), maximize=True)
    cluster_of = torch.full((counts.shape[1], ), -1)
    cluster_of[present[columns]] = torch.as_tensor(clusters)
    return cluster_of


def _check_clusters(clusters: Tensor, num_clusters: int) -> None:
    if clusters.numel() and not (0 <= clusters.min()
                                 and clusters.max() < num_clusters):
        raise ValueError(
            f'clusters must lie in [0, {num_clusters}), got '
            f'{int(clusters.min())} to {int(clusters.max())}; set '
            '`num_clusters`')
