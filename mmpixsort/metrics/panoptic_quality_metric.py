"""Metric of panoptic quality on maps, without files or panopticapi.

Shapes: H W size of the original image, C classes.
"""
from typing import Dict, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.scores.panoptic_quality import (PanopticCounts,
                                                          check_classes,
                                                          class_quality,
                                                          panoptic_counts,
                                                          panoptic_quality)
from mmpixsort.registry import METRICS

from .samples import check_any_image, class_names, map_of, percent

PACK = ('load it with `mmpixsort.LoadPanopticMap`, then put '
        '`mmpixsort.PaintInstanceMap(num_things=...)` and '
        '`mmpixsort.PackInstanceInputs` into the pipeline of the data set '
        'that is scored')
PREDICT = 'take a model that predicts panoptic maps'
MAPS = (('pred_panoptic_seg', 'sem_seg', PREDICT),
        ('gt_sem_seg', 'sem_seg', PACK), ('gt_instance_map', 'data', PACK))


@METRICS.register_module()
class PanopticQualityMetric(BaseMetric):
    """Score panoptic maps by panoptic quality.

    The results are panoptic, segmentation and recognition quality in
    percent: `PQ`, `SQ` and `RQ` are averages over all classes that have a
    segment, `PQ_th`, `SQ_th` and `RQ_th` over such things, `PQ_st`, `SQ_st`
    and `RQ_st` over such stuff. They are NaN if there is no such class. See
    :func:`mmpixsort.functional.panoptic_counts` for the matching of
    segments. The results equal those of panopticapi, except that predicted
    void is never taken for class 0.

    Data samples need `pred_panoptic_seg`, whose `sem_seg` (1, H, W) holds
    class + 1000 * instance, or C for void; `gt_sem_seg` with `sem_seg`
    (1, H, W); and `gt_instance_map`, whose `data` (1, H, W) holds 1 to n in
    things and -1 in void and crowds.

    Args:
        num_things: Number of classes of things, which come first. None takes
            it from `thing_classes` in the METAINFO of the data set.
        classwise: Whether to report `PQ.NAME` for each class too.
        ignore_index: Label of void in `gt_sem_seg`.
        collect_device: Device on which ranks exchange results, 'cpu' or
            'gpu'.
        prefix: Prefix of the names of the results.

    Raises:
        ValueError: If the number of things is negative.
    """

    def __init__(self,
                 *,
                 num_things: Optional[int] = None,
                 classwise: bool = False,
                 ignore_index: int = 255,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if num_things is not None:
            check_count('num_things', num_things, minimum=0)
        self.num_things = num_things
        self.classwise = classwise
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Match the segments of every image.

        Raises:
            TypeError: If a map is not of integers.
            ValueError: If a sample lacks a field, sizes or classes do not
                fit, or the data set does not list things first.
        """
        names = class_names(self.dataset_meta)
        classes = dict(
            num_classes=len(names), num_things=self._count_things(names))
        for sample in data_samples:
            prediction, semantic, instances = (
                map_of(sample, name, key, remedy=remedy)
                for name, key, remedy in MAPS)
            _check_size('gt_sem_seg.sem_seg', semantic, prediction)
            _check_size('gt_instance_map.data', instances, prediction)
            counts = panoptic_counts(
                prediction,
                semantic.to(prediction.device),
                instances.to(prediction.device),
                ignore_index=self.ignore_index,
                **classes)
            self.results.append(tuple(part.cpu() for part in counts))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Add up the counts of all images, then divide.

        Raises:
            ValueError: If there is no image.
        """
        check_any_image(results)
        counts = PanopticCounts(
            *(torch.stack(part).sum(0) for part in zip(*results)))
        names = class_names(self.dataset_meta)
        scores = panoptic_quality(
            counts, num_things=self._count_things(names))
        if self.classwise:
            qualities = class_quality(counts).pq
            scores.update(
                {f'PQ.{name}': pq for name, pq in zip(names, qualities)})
        return {name: percent(value) for name, value in scores.items()}

    def _count_things(self, names: Sequence[str]) -> int:
        """Return the number of classes of things, which come first."""
        num_things = self.num_things
        if num_things is None:
            things = self.dataset_meta.get('thing_classes')
            if things is None:
                raise ValueError(
                    '`thing_classes` must be in the METAINFO of the data '
                    f'set, got {", ".join(sorted(self.dataset_meta))}; or '
                    'set `num_things` of PanopticQualityMetric')
            _check_order(names, things)
            num_things = len(things)
        check_classes(len(names), num_things)
        return num_things


def _check_order(names: Sequence[str], things: Sequence[str]) -> None:
    first = names[:len(things)]
    if set(first) != set(things):
        raise ValueError(
            '`classes` in the METAINFO of the data set must list things '
            f'first, got {", ".join(first)} first and {", ".join(things)} '
            'as `thing_classes`; order `classes`, and the labels with them, '
            'things before stuff')


def _check_size(name: str, truth: Tensor, prediction: Tensor) -> None:
    if truth.shape != prediction.shape:
        raise ValueError(
            f'`{name}` must have the size of `pred_panoptic_seg`, '
            f'{tuple(prediction.shape)}, got {tuple(truth.shape)}; both must '
            'have the size of the original image: load the annotation after '
            '`Resize` in the test pipeline')
