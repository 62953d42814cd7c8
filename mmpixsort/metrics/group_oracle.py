"""The ceiling of a grouping: every group named by the annotation.

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
    """Score groups apart from the words that they are given.

    In percent, over the pixels of the data set:

    - `group_oracle_mIoU`: mIoU of groups painted with the class that most
      of their pixels bear: no naming of the groups gets more pixels right.
      The mIoU of a model is to be read beside it.
    - `group_purity`: labelled pixels of groups that bear the majority class
      of their group.

    Reads `pred_groups` with `data` (1, H, W), ids of 0 and above, negative:
    in no group; as :class:`SegmentMetric` reads `pred_segments`.

    Args:
        ignore_index: Label that takes no part.
        collect_device: 'cpu' or 'gpu'.
        prefix: Prefix of the names of the results.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the groups of every image.

        Raises:
            ValueError: When a sample has no groups, or of another size.
        """
        samples = []
        for sample in data_samples:
            ids = groups_of(sample)
            truth_map(sample, ids, 'pred_groups')
            samples.append(dict(sample, pred_segments=dict(data=ids[None])))
        super().process(data_batch, samples)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Sum over images and divide."""
        metrics = super().compute_metrics(results)
        return {name: metrics[key] for key, name in NAMES.items()}


def groups_of(sample: dict) -> Tensor:
    """Return the group ids (H, W) int64 of a sample.

    Raises:
        ValueError: When the sample has none.
    """
    groups = sample.get('pred_groups')
    if groups is None:
        raise ValueError(
            '`pred_groups` must be in every data sample, got '
            f'{", ".join(sorted(map(str, sample)))}: it comes from a model '
            'that groups and names, a text-supervised one')
    return groups['data'][0].long()
