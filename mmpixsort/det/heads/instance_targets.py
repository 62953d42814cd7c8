"""Instance maps of a batch, collected from its data samples.

Shapes: B images, H W size of the batch.
"""
from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from mmpixsort.functional.checks import check_labels


class InstanceTargets(NamedTuple):
    """Instance maps and class maps of a batch.

    Attributes:
        ids: (B, H, W) int64 instance of each pixel, from 1; 0 is background,
            -1 is ignored, as is padding.
        classes: (B, H, W) int64 class of each pixel in [0, C); C is
            background, 255 is ignored.
        num_ids: Number that all `ids` are below.
    """

    ids: Tensor
    classes: Tensor
    num_ids: int


def instance_targets(data_samples: List, size: Sequence[int],
                     num_classes: int) -> InstanceTargets:
    """Stack the instance maps of a batch, padded to the size of the batch.

    Args:
        data_samples: Data samples with `gt_instance_map` and `gt_instances`.
            Label k of `gt_instances` is the class of id k + 1; ids without
            a label are ignored.
        size: H and W of the batch in pixels.
        num_classes: Number of classes C.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: If a sample has no map, or a map and its image differ in
            size.
    """
    ids, num_ids = stack_instances(data_samples, size)
    tables = []
    for sample in data_samples:
        labels = sample.gt_instances.labels.long()
        tables.append(torch.cat([
            labels.new_full((1, ), num_classes), labels,
            labels.new_full((num_ids - 1 - len(labels), ), 255)]))
    classes = torch.stack(tables).gather(
        1, ids.clamp(min=0).flatten(1)).view_as(ids)
    return InstanceTargets(ids, classes.masked_fill(ids < 0, 255), num_ids)


def stack_instances(data_samples: List,
                    size: Sequence[int]) -> Tuple[Tensor, int]:
    """Return the padded ids (B, H, W) int64 and a number that all are below.

    The number is 1 more than the largest number of labels of an image. Ids
    are -1 on padding and where the image has no label for them.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: If a sample has no map, or a map and its image differ in
            size.
    """
    maps = []
    for sample in data_samples:
        _check_maps(sample, size)
        if 'gt_instance_map' not in sample:
            raise ValueError(
                '`gt_instance_map` must be in every data sample: put '
                'mmpixsort.LoadInstanceMap or, for panoptic segmentation, '
                'mmpixsort.LoadPanopticMap into the pipeline, and '
                'mmpixsort.PaintInstanceMap and mmpixsort.'
                'PackInstanceInputs at its end')
        ids = sample.gt_instance_map.data[0]
        # from shapes, so that the host does not wait for the device
        count = len(sample.gt_instances.labels)
        maps.append(pad(
            ids.masked_fill(ids > count, -1),
            (0, size[1] - ids.shape[1], 0, size[0] - ids.shape[0]), value=-1))
    most = max(len(sample.gt_instances.labels) for sample in data_samples)
    return torch.stack(maps).long(), 1 + most


def _check_maps(sample, size: Sequence[int]) -> None:
    """Raise if a map of a sample has a wrong type or size."""
    sizes = {tuple(size), tuple(sample.metainfo.get('img_shape', size)[:2])}
    for name, key in (('gt_sem_seg', 'sem_seg'), ('gt_instance_map', 'data')):
        if name not in sample:
            continue
        values = sample.get(name).get(key)[0]
        check_labels(f'{name}.{key}', values, values.shape)
        if tuple(values.shape) not in sizes:
            raise ValueError(
                f'`{name}.{key}` must have the size of its image, '
                f'{" or ".join(map(str, sorted(sizes)))}, got '
                f'{tuple(values.shape)}; load the annotation before `Resize` '
                'in the pipelines of training and of LinkageThresholdHook')


def shrink(targets: InstanceTargets,
           size: Sequence[int]) -> InstanceTargets:
    """Resize targets to `size` (h, w) by nearest neighbour.

    The maps are resized in float64, which represents every id exactly.
    """
    def nearest(maps: Tensor) -> Tensor:
        return interpolate(
            maps[:, None].double(), size=tuple(size))[:, 0].long()

    return InstanceTargets(
        nearest(targets.ids), nearest(targets.classes), targets.num_ids)
