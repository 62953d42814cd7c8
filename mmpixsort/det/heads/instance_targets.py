"""What a batch of data samples says of instances.

Shapes: B images, H W size of the batch.
"""
from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from mmpixsort.functional.checks import check_labels


class InstanceTargets(NamedTuple):
    """Maps of a batch.

    Attributes:
        ids: (B, H, W) int64, 0: background, -1: takes no part, padding too.
        classes: (B, H, W) int64 of the instances, C for background, 255
            where a pixel takes no part.
        num_ids: ids lie below.
    """

    ids: Tensor
    classes: Tensor
    num_ids: int


def instance_targets(data_samples: List, size: Sequence[int],
                     num_classes: int) -> InstanceTargets:
    """Stack the instance maps of a batch, padded to a size.

    Ids above the number of labels take no part.

    Args:
        data_samples: With `gt_instance_map` and labels of `gt_instances`.
        size: H and W of the batch.
        num_classes: C.

    Raises:
        TypeError: On maps that are not of integers.
        ValueError: When a sample has no map, or one of another size than
            its image.
    """
    ids, num_ids = stack_instances(data_samples, size)
    tables = []
    for sample in data_samples:
        labels = sample.gt_instances.labels.long()
        tables.append(torch.cat([
            labels.new_tensor([num_classes]), labels,
            labels.new_full((num_ids - len(labels), ), 255)]))
    # an id without a label is none that is known
    ids = ids.masked_fill(ids >= num_ids, -1)
    classes = torch.stack(tables).gather(
        1, ids.clamp(min=0).flatten(1)).view_as(ids)
    return InstanceTargets(ids, classes.masked_fill(ids < 0, 255), num_ids)


def stack_instances(data_samples: List,
                    size: Sequence[int]) -> Tuple[Tensor, int]:
    """Return ids (B, H, W) int64, -1 on padding, and a bound above them.

    Raises:
        TypeError: On maps that are not of integers.
        ValueError: When a sample has no map, or one of another size than
            its image.
    """
    maps = []
    for sample in data_samples:
        _check_maps(sample, size)
        if 'gt_instance_map' not in sample:
            raise ValueError(
                '`gt_instance_map` must be in every data sample: put '
                'LoadAnnotations(with_bbox=True, with_mask=True) or '
                'mmpixsort.LoadPanopticMap into the pipeline, and '
                'mmpixsort.PaintInstanceMap and mmpixsort.'
                'PackInstanceInputs at its end')
        ids = sample.gt_instance_map.data[0]
        maps.append(pad(ids, (0, size[1] - ids.shape[1],
                              0, size[0] - ids.shape[0]), value=-1))
    # known on the host: nothing waits for the device
    count = max(len(sample.gt_instances.labels) for sample in data_samples)
    return torch.stack(maps).long(), 1 + count


def _check_maps(sample, size: Sequence[int]) -> None:
    """Raise unless the maps that are there are integers and of one size."""
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
                'in a pipeline for training or measuring')


def shrink(targets: InstanceTargets,
           size: Sequence[int]) -> InstanceTargets:
    """Resize to the grid of a feature by nearest neighbour.

    In float64, which holds every id.
    """
    def nearest(maps: Tensor) -> Tensor:
        return interpolate(
            maps[:, None].double(), size=tuple(size))[:, 0].long()

    return InstanceTargets(
        nearest(targets.ids), nearest(targets.classes), targets.num_ids)
