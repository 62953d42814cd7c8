"""Read the parts of a data sample, a dict, that the metrics need.

Shapes: H W size of the original image, S segments, k neighbours.
"""
from typing import NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_labels


class SegmentsOfImage(NamedTuple):
    """Segments that a model found in one image.

    Attributes:
        segment_ids: (H, W) int64 segment of each pixel.
        neighbor_labels: (S, k) classes of the neighbours of each segment;
            None if nothing was retrieved.
    """

    segment_ids: Tensor
    neighbor_labels: Optional[Tensor]


def label_maps(sample: dict) -> Tuple[Tensor, Tensor]:
    """Return predicted and true labels (H, W) int64, on one device.

    Args:
        sample: Data sample with `pred_sem_seg` and `gt_sem_seg`, as for
            mmseg's `IoUMetric`.
    """
    prediction = sample['pred_sem_seg']['data'][0].long()
    return prediction, truth_map(sample, prediction, 'pred_sem_seg')


def truth_map(sample: dict, like: Tensor, name: str) -> Tensor:
    """Return the true labels (H, W) int64, on the device of a map.

    Args:
        sample: Data sample with `gt_sem_seg`.
        like: (H, W) integer map, which must have the size of the labels.
        name: Name of the map for the error message.

    Raises:
        ValueError: If the sizes of labels and map differ.
    """
    truth = sample['gt_sem_seg']['data'][0].to(like.device).long()
    check_labels(f'{name} data', like, truth.shape)
    return truth


def segments_of(sample: dict) -> SegmentsOfImage:
    """Return the segments of a sample.

    A segmentor stores them as `pred_segments`, with `data` (1, H, W) and, if
    it retrieves neighbours, `neighbor_labels` (S, k).

    Raises:
        ValueError: If the sample has no segments.
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
    """Return the value `sample[name][key]` as a tensor.

    Args:
        sample: Data sample.
        name: Name of the field, such as 'pred_instances'.
        key: Name of the value in the field, such as 'masks'.
        remedy: Advice for the error message.

    Raises:
        ValueError: If the sample has no such value.
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
        ValueError: If the sample has no such map, or its shape is wrong.
    """
    value = field_of(sample, name, key, remedy=remedy)
    if value.dim() != 3 or len(value) != 1:
        raise ValueError(f'`{name}.{key}` must have shape (1, H, W), got '
                         f'{tuple(value.shape)}')
    return value[0]


def check_any_image(results: Sequence) -> None:
    """Raise ValueError if no image was scored."""
    if not results:
        raise ValueError(
            'the data set must have at least one image, got none; check '
            '`ann_file`, `data_prefix` and `filter_cfg` of the data set that '
            'is scored')


def class_names(dataset_meta: Optional[dict]) -> Tuple[str, ...]:
    """Return the names of the classes of a data set.

    Raises:
        ValueError: If its METAINFO has no classes.
    """
    names = (dataset_meta or {}).get('classes')
    if not names:
        raise ValueError('`classes` must be in the METAINFO of the data '
                         f'set, got {dataset_meta}')
    return tuple(names)


def percent(value: Tensor) -> float:
    """Return a fraction in percent, rounded to 2 digits like mmseg."""
    return round(float(value) * 100, 2)
