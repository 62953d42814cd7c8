"""Metric of groups of pixels if the annotation named every group.

Shapes: H W size, K groups.
"""
from typing import Dict, Sequence

from torch import Tensor

from mmpixsort.registry import METRICS

from .samples import truth_map
from .segment_metric import SegmentMetric

NAMES = dict(
    segment_purity='group_purity', oracle_mIoU='group_oracle_mIoU')


@METRICS.register_module()
class GroupOracleMetric(SegmentMetric):
    """Score groups of pixels regardless of the words that name them.

    Compare it with the mIoU of the model to see whether the grouping or the
    naming limits the model. The results, in percent over the pixels of the
    data set, are:

    - `group_oracle_mIoU`: the mIoU if every group gets the class of most of
      its pixels. No other naming of the groups has more correct pixels.
    - `group_purity`: the fraction of the labelled pixels in groups that have
      the class of most pixels of their group.

    Data samples need `pred_groups`, whose `data` (1, H, W) holds ids from 0,
    or a negative number for pixels in no group, and `gt_sem_seg`.

    Args:
        ignore_index: Label of pixels that are ignored.
        collect_device: Device on which ranks exchange results, 'cpu' or
            'gpu'.
        prefix: Prefix of the names of the results.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the groups of every image.

        Raises:
            ValueError: If a sample has no groups, or a map of groups whose
                size differs from that of the truth.
        """
        samples = []
        for sample in data_samples:
            ids = groups_of(sample)
            truth_map(sample, ids, 'pred_groups')
            samples.append(dict(sample, pred_segments=dict(data=ids[None])))
        super().process(data_batch, samples)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Compute the scores from the sums over all images."""
        metrics = super().compute_metrics(results)
        return {name: metrics[key] for key, name in NAMES.items()}


def groups_of(sample: dict) -> Tensor:
    """Return the group ids (H, W) int64 of a sample.

    Raises:
        ValueError: If the sample has no groups.
    """
    groups = sample.get('pred_groups')
    if groups is None:
        raise ValueError(
            '`pred_groups` must be in every data sample, got '
            f'{", ".join(sorted(map(str, sample)))}; use a text-supervised '
            'model, which groups pixels and names the groups')
    return groups['data'][0].long()
