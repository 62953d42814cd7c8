"""What the metrics read from a data sample, which the engine hands as a dict.

Shapes: H W size of the original image, S segments, k neighbours.
"""
from typing import NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_labels


class SegmentsOfImage(NamedTuple):
    """Segments that a model found in one image.

    Attributes:
        segment_ids: (H, W) int64.
        neighbor_labels: (S, k) int64 classes of the neighbours of segment
            0, 1, ...; None: nothing was retrieved.
    """

    segment_ids: Tensor
    neighbor_labels: Optional[Tensor]


def label_maps(sample: dict) -> Tuple[Tensor, Tensor]:
    """Return predicted and true labels (H, W) int64, on one device.

    Args:
        sample: With `pred_sem_seg` and `gt_sem_seg`, as mmseg's IoUMetric
            takes it.
    """
    prediction = sample['pred_sem_seg']['data'][0].long()
    return prediction, truth_map(sample, prediction, 'pred_sem_seg')


def truth_map(sample: dict, like: Tensor, name: str) -> Tensor:
    """Return the true labels (H, W) int64 on the device of a map.

    Raises:
        ValueError: When they have another size than the map `name`.
    """
    truth = sample['gt_sem_seg']['data'][0].to(like.device).long()
    check_labels(f'{name} data', like, truth.shape)
    return truth


def segments_of(sample: dict) -> SegmentsOfImage:
    """Return the segments of a sample.

    The one place that knows how a segmentor stores them: `pred_segments`,
    with `data` (1, H, W) and, with retrieval, `neighbor_labels` (S, k).

    Raises:
        ValueError: When the sample has no segments.
    """
    segments = sample.get('pred_segments')
    if segments is None:
        raise ValueError(
            '`pred_segments` must be in every data sample, got '
            f'{", ".join(sorted(map(str, sample)))}: set `retrieval` in the '
            '`test_cfg` of a model of mmpixsort, so that it segments and '
            'retrieves (test_cfg.retrieval)')
    segment_ids = segments['data'][0].long()
    neighbor_labels = segments.get('neighbor_labels')
    if neighbor_labels is not None:
        neighbor_labels = torch.as_tensor(
            neighbor_labels, device=segment_ids.device)
    return SegmentsOfImage(segment_ids, neighbor_labels)


def field_of(sample: dict, name: str, key: str, *, remedy: str) -> Tensor:
    """Return what `sample[name][key]` holds, an array of numpy as a tensor.

    Args:
        sample: A data sample.
        name: Name of the part, such as 'pred_instances'.
        key: In the part, as 'masks'.
        remedy: What puts it there, for the message.

    Raises:
        ValueError: When it is not there.
    """
    part = sample.get(name)
    value = None if part is None else part.get(key)
    if value is None:
        there = sorted(map(str, sample if part is None else part.keys()))
        raise ValueError(f'`{name}.{key}` must be in every data sample, got '
                         f'{", ".join(there) or "nothing"}; {remedy}')
    return torch.as_tensor(value)


def map_of(sample: dict, name: str, key: str, *, remedy: str) -> Tensor:
    """Return the map (H, W) at `sample[name][key]`, stored as (1, H, W).

    Raises:
        ValueError: When it is not there, or has another shape.
    """
    value = field_of(sample, name, key, remedy=remedy)
    if value.dim() != 3 or len(value) != 1:
        raise ValueError(f'`{name}.{key}` must have shape (1, H, W), got '
                         f'{tuple(value.shape)}')
    return value[0]


def check_any_image(results: Sequence) -> None:
    """Raise ValueError when not one image was scored."""
    if not results:
        raise ValueError(
            'the data set must have at least one image, got none; look at '
            '`ann_file`, `data_prefix` and `filter_cfg` of the data set that '
            'is scored')


def class_names(dataset_meta: Optional[dict]) -> Tuple[str, ...]:
    """Return the names of the classes.

    Raises:
        ValueError: When the data set tells none.
    """
    names = (dataset_meta or {}).get('classes')
    if not names:
        raise ValueError('`classes` must be in the METAINFO of the data '
                         f'set, got {dataset_meta}')
    return tuple(names)


def percent(value: Tensor) -> float:
    """Return a share in percent, rounded as the host does."""
    return round(float(value) * 100, 2)
