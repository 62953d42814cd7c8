"""Panoptic ids of a batch: things apart, stuff by image or by class.

Shapes: B images, H W size, T classes of things, S of stuff, C = T + S, N
pixels of the batch, P segments.
"""
from typing import List, NamedTuple, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from mmpixsort.datasets.panoptic_maps import VOID
from mmpixsort.functional.segments.prototypes import CODE_BASE

from .instance_targets import stack_instances

STRIDE = 1 << 20  # more than there are regions in an image
STUFF = ('negative', 'ignore', 'positive')


class PanopticTargets(NamedTuple):
    """Maps of a batch.

    Attributes:
        semantic: (B, H, W) int64 in [0, C), 255: void.
        regions: (B, H, W) int64: things of an image, then classes of stuff;
            -1: void or crowd.
        num_regions: regions lie below.
        num_things_seen: regions of things lie below.
    """

    semantic: Tensor
    regions: Tensor
    num_regions: int
    num_things_seen: int


def panoptic_targets(data_samples: List, size: Sequence[int], *,
                     num_things: int, num_classes: int) -> PanopticTargets:
    """Stack the panoptic maps of a batch, padded to a size.

    Labels that are no class are void, and ids above the number of labels
    take no part.

    Args:
        data_samples: With `gt_instance_map`, `gt_sem_seg` and labels of
            `gt_instances`.
        size: H and W of the batch.
        num_things: T, classes that come first.
        num_classes: C.

    Raises:
        TypeError: On maps that are not of integers.
        ValueError: When a sample lacks a map, a map has another size than
            its image, or there are more than 2^16 regions.
    """
    ids, num_ids = stack_instances(data_samples, size)
    seen = num_ids - 1
    num_regions = seen + num_classes - num_things
    if num_regions > CODE_BASE:
        raise ValueError(
            f'instances of an image must be at most '
            f'{CODE_BASE - num_classes + num_things}, got {seen}; set '
            '`min_pixels` of PaintInstanceMap, or crop')
    semantic = torch.stack([
        _padded_semantic(sample, size) for sample in data_samples])
    semantic = semantic.masked_fill(
        (semantic < 0) | (semantic >= num_classes), VOID)
    is_stuff = (semantic >= num_things) & (semantic != VOID)
    is_thing = (semantic < num_things) & (ids > 0) & (ids <= seen)
    regions = torch.where(is_stuff, seen + semantic - num_things,
                          torch.where(is_thing, ids - 1, -1))
    return PanopticTargets(semantic, regions, num_regions, seen)


def _padded_semantic(sample, size: Sequence[int]) -> Tensor:
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            '`gt_sem_seg` must be in every data sample: put '
            'mmpixsort.LoadPanopticMap before mmpixsort.PaintInstanceMap in '
            'the pipeline')
    labels = sample.gt_sem_seg.sem_seg[0].long()
    return pad(labels, (0, size[1] - labels.shape[1],
                        0, size[0] - labels.shape[0]), value=VOID)


class PanopticIds(NamedTuple):
    """Labels of segments for the loss.

    Attributes:
        ids: equal where one is a positive of the other.
        groups: classes of stuff that leave each other alone, -1: none.
    """

    ids: Tensor
    groups: Tensor


def panoptic_ids(regions: Tensor, images: Tensor, targets: PanopticTargets,
                 *, stuff_across_images: str) -> PanopticIds:
    """Return ids and groups of segments or pixels, -1 for none.

    Args:
        regions: (P,) region of each in its image, negative: none.
        images: (P,) number of its image over all ranks.
        targets: What the regions mean.
        stuff_across_images: Stuff of one class in two images: 'negative',
            'ignore' or 'positive' of each other.
    """
    none = regions < 0
    stuff = regions - targets.num_things_seen  # of which class
    is_stuff = stuff >= 0
    # the first stride is for stuff that is one over all images; a constant,
    # as ranks see different numbers of things
    ids = (1 + images) * STRIDE + regions
    if stuff_across_images == 'positive':
        ids = torch.where(is_stuff, stuff, ids)
    groups = torch.full_like(ids, -1)
    if stuff_across_images == 'ignore':
        groups = torch.where(is_stuff, stuff, groups)
    return PanopticIds(
        ids.masked_fill(none, -1), groups.masked_fill(none, -1))
