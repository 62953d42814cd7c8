"""A panoptic map from class scores and embeddings of one image.

Shapes: C classes of which the first T are things, D embedding dims, h w size
of the embedding, H W size of the result, K instances.
"""
from typing import NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_positive)
from mmpixsort.functional.clustering import locate
from mmpixsort.functional.partition import partition_regions
from mmpixsort.functional.prototypes import (CODE_BASE, find_segments,
                                             join_codes, prototypes)
from mmpixsort.functional.segment_graph import (check_cosine, merge_segments,
                                                segment_neighbors)
from mmpixsort.functional.vmf_meanshift import vmf_mean_shift

from .instance_results import boxes_of_masks

INSTANCE_OFFSET = 1000  # of MMDetection's panoptic maps
MERGES = ('linkage', 'meanshift')


class PanopticRules(NamedTuple):
    """How segments become instances, and what is too small.

    Attributes:
        merge: 'linkage': average linkage on neighbours; 'meanshift': modes
            of a von Mises-Fisher density of the prototypes.
        threshold: Mean cosine above which neighbours merge, or that modes
            must have to be one; None: measured.
        far_threshold: Cosine above which segments that do not touch may
            merge; None: only neighbours.
        concentration: kappa of 'meanshift'.
        min_area: Smaller things are void, pixels of the result.
        min_stuff_area: Smaller stuff is void; 2048 on Cityscapes (its
            usual convention).
    """

    merge: str = 'linkage'
    threshold: Optional[float] = None
    far_threshold: Optional[float] = None
    concentration: float = 10.
    min_area: int = 16
    min_stuff_area: int = 0

    def check(self) -> 'PanopticRules':
        """Raise ValueError on values out of range."""
        check_choice('merge', self.merge, MERGES)
        for name in ('threshold', 'far_threshold'):
            if getattr(self, name) is not None:
                check_cosine(name, getattr(self, name))
        check_positive('concentration', self.concentration)
        check_count('min_area', self.min_area, minimum=0)
        check_count('min_stuff_area', self.min_stuff_area, minimum=0)
        return self


@torch.no_grad()
def panoptic_of_image(logits: Tensor, embeddings: Tensor,
                      size: Sequence[int], *, num_things: int, cut: dict,
                      rules: PanopticRules) -> dict:
    """Return the panoptic map of an image.

    Segments are made and merged at the size of the embedding; then every
    pixel of a thing goes to the most similar instance of its class.

    Args:
        logits: (C, h, w).
        embeddings: (D, h, w), unit.
        size: H and W.
        num_things: T.
        cut: Options of partition_regions.
        rules: Of merging and cleaning.

    Returns:
        dict of `pan_results`, PixelData(sem_seg=(1, H, W) int32) with class
        + 1000 * instance and C for void, and `ins_results`, InstanceData.
    """
    num_classes = len(logits)
    means, classes = instances_of_embedding(
        logits.argmax(0), embeddings, num_things=num_things, cut=cut,
        rules=rules)
    scores = _enlarge(logits, size).softmax(0)
    labels = scores.argmax(0)
    owners = _owners(embeddings, labels, means, classes, size, cut)
    return _paint(owners, labels, scores, classes, num_things, num_classes,
                  rules)


def instances_of_embedding(labels: Tensor, embeddings: Tensor, *,
                           num_things: int, cut: dict, rules: PanopticRules
                           ) -> Tuple[Tensor, Tensor]:
    """Return located means (K, D + 2) and classes (K,) of instances.

    Args:
        labels: (h, w) classes.
        embeddings: (D, h, w).
        num_things: T; a class of them is a region that is cut.
        cut: Options of partition_regions.
        rules: Of merging.
    """
    regions = labels.masked_fill(labels >= num_things, -1)
    clusters = partition_regions(
        embeddings[None], regions[None], num_regions=num_things, **cut)[0]
    codes = join_codes(regions.flatten(), clusters.flatten())
    room = int(codes.unique().numel()) + 1
    found = find_segments(codes, room)
    count = int(found.num_found)
    ids = found.segment_ids
    rows = embeddings.flatten(1).T
    points = prototypes(rows, ids, room)[:count]
    classes = found.codes[:count] // CODE_BASE
    owners = _merge(points, found.areas[:count], classes,
                    ids.view_as(labels), rules)
    number = int(owners.max()) + 1 if count else 0
    located = locate(
        embeddings[None], frame=cut.get('frame', 'centered'),
        weight=cut['location_weight'])[0].flatten(1).T
    pixel_owner = torch.cat([owners, owners.new_full((1, ), -1)])[ids]
    means = prototypes(located, pixel_owner, max(1, number))[:number]
    instance_class = classes.new_zeros(number).scatter_(
        0, owners[owners >= 0], classes[owners >= 0])
    return means, instance_class


def _merge(points: Tensor, areas: Tensor, classes: Tensor, ids: Tensor,
           rules: PanopticRules) -> Tensor:
    """Return the instance (S,) of every segment, -1 for none."""
    if not len(points):
        return areas.new_zeros(0)
    if rules.merge == 'linkage':
        return merge_segments(
            points, areas, segment_neighbors(ids, len(points)),
            threshold=rules.threshold, far_threshold=rules.far_threshold,
            classes=classes)
    modes = vmf_mean_shift(
        points, concentration=rules.concentration, weights=areas.float(),
        merge_threshold=rules.threshold).labels
    # one mode of two classes is two instances
    pairs = modes * (int(classes.max()) + 1) + classes
    return pairs.unique(return_inverse=True)[1].masked_fill(modes < 0, -1)


def _enlarge(maps: Tensor, size: Sequence[int]) -> Tensor:
    return interpolate(
        maps[None], size=tuple(size), mode='bilinear',
        align_corners=False)[0]


def _owners(embeddings: Tensor, labels: Tensor, means: Tensor,
            classes: Tensor, size: Sequence[int], cut: dict) -> Tensor:
    """Return the instance (H, W) of its class most similar to a pixel."""
    if not len(means):
        return torch.full_like(labels, -1)
    points = locate(
        normalize(_enlarge(embeddings, size), dim=0)[None],
        frame=cut.get('frame', 'centered'), weight=cut['location_weight'])[0]
    similarity = torch.einsum('kd,dhw->khw', means, points)
    other = classes[:, None, None] != labels
    best, owner = similarity.masked_fill(other, -torch.inf).max(0)
    return owner.masked_fill(best == -torch.inf, -1)


def _paint(owners: Tensor, labels: Tensor, scores: Tensor, classes: Tensor,
           num_things: int, num_classes: int, rules: PanopticRules) -> dict:
    """Number instances from 1, drop what is small, collect the masks."""
    count = len(classes)
    areas = owners[owners >= 0].bincount(minlength=count)
    kept = (areas >= max(1, rules.min_area)).nonzero().flatten()
    number = owners.new_zeros(count + 1)
    number[kept] = torch.arange(1, len(kept) + 1, device=owners.device)
    ids = number[owners]  # the last is 0: owner -1
    stuff_areas = labels.flatten().bincount(minlength=num_classes)
    small = stuff_areas[labels] < rules.min_stuff_area
    is_thing = labels < num_things
    void = torch.where(is_thing, ids == 0, small)
    panoptic = torch.where(is_thing, labels + INSTANCE_OFFSET * ids, labels)
    panoptic = panoptic.masked_fill(void, num_classes).int()
    masks = ids[None] == torch.arange(
        1, len(kept) + 1, device=ids.device)[:, None, None]
    labels_kept = classes[kept]
    probability = scores[labels_kept]
    mean = (probability * masks).flatten(1).sum(1) / masks.flatten(1).sum(
        1).clamp(min=1)
    return dict(
        pan_results=PixelData(sem_seg=panoptic[None]),
        ins_results=InstanceData(
            masks=masks, labels=labels_kept, scores=mean,
            bboxes=boxes_of_masks(masks)))
