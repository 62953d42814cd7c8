"""Metric of unnamed clusters, which are first matched to classes.

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

from .samples import check_any_image, class_names, label_maps, percent


@METRICS.register_module()
class ClusterMatchingMetric(BaseMetric):
    """Score clusters after matching them one to one with classes.

    The matching is the Hungarian assignment with the largest number of
    correct pixels over the data set (as in Ji et al., "Invariant Information
    Clustering", ICCV 2019, https://arxiv.org/abs/1807.06653). The pixels of
    a cluster without a class, and of a class without a cluster, count as
    wrong. A class without labelled pixels gets no cluster, and its IoU is
    NaN.

    The results are `mIoU`, `aAcc` and `IoU.NAME` for each class, in percent.
    Data samples are those of mmseg's `IoUMetric`, with clusters in
    `pred_sem_seg`.

    Args:
        num_clusters: Number K of clusters, which may differ from C; None
            means C.
        ignore_index: Label of pixels that are ignored.
        collect_device: Device on which ranks exchange results, 'cpu' or
            'gpu'.
        prefix: Prefix of the names of the results; None means 'cluster'.

    Raises:
        ValueError: If the number of clusters is out of range.
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
        """Append the (K, C) pixels shared by clusters and classes.

        Raises:
            ValueError: If a cluster lies outside [0, K).
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
        """Match clusters on the sum over all images, then score."""
        check_any_image(results)
        counts = torch.stack(results).sum(0)
        cluster_of = match_clusters(counts)
        matched = cluster_of >= 0
        classes = torch.arange(counts.shape[1])
        # a class without a cluster has no correct and no predicted pixel
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
    """Assign clusters to classes so that as many pixels as possible agree.

    Args:
        counts: (K, C) int64 numbers of pixels that cluster and class share.

    Returns:
        (C,) int64 cluster of each class; -1 for a class that has no pixels
        or for which no cluster is left.

    Raises:
        ImportError: If SciPy is not installed.

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
