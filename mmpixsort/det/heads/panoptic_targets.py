"""Panoptic maps of a batch, and the labels of its segments for the loss.

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

STRIDE = 1 << 20  # larger than the number of regions in an image
STUFF = ('negative', 'ignore', 'positive')


class PanopticTargets(NamedTuple):
    """Class maps and region maps of a batch.

    A region is one thing or one class of stuff of an image.

    Attributes:
        semantic: (B, H, W) int64 class of each pixel in [0, C); 255 is void.
        regions: (B, H, W) int64 region of each pixel in its image. Numbers
            below `num_things_seen` are things, the following ones are the
            classes of stuff, and -1 is void or a crowd.
        num_regions: Number that all `regions` are below.
        num_things_seen: Largest number of things in an image of the batch.
    """

    semantic: Tensor
    regions: Tensor
    num_regions: int
    num_things_seen: int


def panoptic_targets(data_samples: List, size: Sequence[int], *,
                     num_things: int, num_classes: int) -> PanopticTargets:
    """Stack the panoptic maps of a batch, padded to the size of the batch.

    Semantic labels outside [0, C) become void, and ids without a label in
    their image are ignored.

    Args:
        data_samples: Data samples with `gt_instance_map`, `gt_sem_seg` and
            the labels of `gt_instances`.
        size: H and W of the batch in pixels.
        num_things: Number of classes of things T, which come first.
        num_classes: Number of all classes C.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: If a sample lacks a map, a map and its image differ in
            size, or there are more than 2^16 regions.
    """
    ids, num_ids = stack_instances(data_samples, size)
    seen = num_ids - 1
    num_regions = seen + num_classes - num_things
    if num_regions > CODE_BASE:
        raise ValueError(
            f'the number of instances of an image must be at most '
            f'{CODE_BASE - num_classes + num_things}, got {seen}; set '
            '`min_pixels` of PaintInstanceMap, or crop the images')
    semantic = torch.stack([
        _padded_semantic(sample, size) for sample in data_samples])
    semantic = semantic.masked_fill(
        (semantic < 0) | (semantic >= num_classes), VOID)
    is_stuff = (semantic >= num_things) & (semantic != VOID)
    is_thing = (semantic < num_things) & (ids > 0)
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
    """Labels of pixels or segments for the loss.

    Attributes:
        ids: (P,) int64. Segments with equal ids are positives of each other.
        groups: (P,) int64. Segments with different ids and equal groups
            ignore each other; -1 is no group.
    """

    ids: Tensor
    groups: Tensor


def panoptic_ids(regions: Tensor, images: Tensor, targets: PanopticTargets,
                 *, stuff_across_images: str) -> PanopticIds:
    """Return the ids and the groups of segments or pixels.

    Args:
        regions: (P,) region of each segment in its image; segments with a
            negative number get -1.
        images: (P,) number of its image, counted over all ranks.
        targets: Targets of the batch, which tell things from stuff.
        stuff_across_images: Relation between stuff of one class in two
            images: 'negative', 'ignore' or 'positive'.
    """
    none = regions < 0
    stuff = regions - targets.num_things_seen  # class of stuff from 0
    is_stuff = stuff >= 0
    # Ids below STRIDE are for stuff that is shared by all images. STRIDE is a
    # constant because the number of things differs between ranks.
    ids = (1 + images) * STRIDE + regions
    if stuff_across_images == 'positive':
        ids = torch.where(is_stuff, stuff, ids)
    groups = torch.full_like(ids, -1)
    if stuff_across_images == 'ignore':
        groups = torch.where(is_stuff, stuff, groups)
    return PanopticIds(
        ids.masked_fill(none, -1), groups.masked_fill(none, -1))
