"""Instances of an image, found by merging segments of its embedding map.

Shapes: C classes of which the first T are things, D embedding dims, h w size
of the embedding map, S segments, K instances.

A cell is a pixel of the embedding map. The authors' rules are not public;
those here are a reconstruction, see docs/panoptic_segsort.md.
"""
from typing import NamedTuple, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.instances.vmf_meanshift import vmf_mean_shift
from mmpixsort.functional.segments.graph import (merge_segments,
                                                 segment_neighbors)
from mmpixsort.functional.segments.partition import partition_regions
from mmpixsort.functional.segments.prototypes import (find_segments,
                                                      prototypes, segment_sums)
from mmpixsort.functional.words.region_cleanup import connected_parts

from .panoptic_rules import PanopticRules

# Limit for one image, beyond which the largest segments are kept. A table of
# all pairs then takes 32 MiB. Only noisy class maps reach the limit.
MAX_SEGMENTS = 2048


class CellSegments(NamedTuple):
    """Segments of an image, each a piece of a connected part of a class.

    Attributes:
        ids: (h, w) int64 segment of each cell in [0, S); -1 is none.
        prototypes: (S, D) unit mean embeddings of the segments.
        areas: (S,) int64 areas of the segments in cells.
        parts: (S,) int64 number of the connected part of each segment.
        classes: (S,) int64 class of each segment in [0, T).
        adjacency: (S, S) bool, True for segments that share a side.
    """

    ids: Tensor
    prototypes: Tensor
    areas: Tensor
    parts: Tensor
    classes: Tensor
    adjacency: Tensor


class CellInstances(NamedTuple):
    """Instances of an image on the grid of the embedding map.

    Attributes:
        ids: (h, w) int64 instance of each cell in [0, K); -1 is none.
        labels: (K,) int64 classes in [0, T).
        scores: (K,) mean probability of the class over the cells.
    """

    ids: Tensor
    labels: Tensor
    scores: Tensor


@torch.no_grad()
def instances_of_cells(logits: Tensor, embeddings: Tensor, *,
                       num_things: int, cut: dict, rules: PanopticRules,
                       min_cells: float) -> CellInstances:
    """Cut the cells of things into segments and merge them into instances.

    Segments of one class merge first. Then touching instances of different
    classes merge by the same rule, so that a car of which a part looks like
    a truck is one instance. The class of an instance is the thing class with
    the highest mean probability over its cells.

    Args:
        logits: (C, h, w) class logits.
        embeddings: (D, h, w) unit embeddings.
        num_things: Number of classes of things T, which come first.
        cut: Options of `partition_regions`.
        rules: Rules for merging; the threshold must be a number.
        min_cells: Area in cells. A smaller instance joins the instance with
            the most similar segment around it if their cosine is above the
            threshold.
    """
    labels = logits.argmax(0)
    segments = cut_things(
        labels.masked_fill(labels >= num_things, -1), embeddings, cut)
    owners = _merge(segments, rules)
    owners = _join_classes(segments, owners, rules.threshold)
    owners = _absorb_small(segments, owners, min_cells, rules.threshold)
    owners = _renumber(owners)
    count = int(owners.max()) + 1 if len(owners) else 0
    ids = torch.cat([owners, owners.new_full((1, ), -1)])[segments.ids]
    if not count:
        none = owners.new_zeros(0)
        return CellInstances(ids, none, logits.new_zeros(0))
    rows = logits.flatten(1).softmax(0)[:num_things].T
    areas = ids[ids >= 0].bincount(minlength=count)
    means = segment_sums(rows, ids.flatten(), count) / areas[:, None]
    scores, classes = means.max(1)
    return CellInstances(ids, classes, scores)


@torch.no_grad()
def cut_things(labels: Tensor, embeddings: Tensor,
               cut: dict) -> CellSegments:
    """Cut the connected parts of every class of things into segments.

    Args:
        labels: (h, w) int64 classes of things, -1 elsewhere.
        embeddings: (D, h, w) unit embeddings.
        cut: Options of `partition_regions`, which chooses the number of
            segments of a part by its area.
    """
    firsts = connected_parts(labels[None])[0]
    inside = firsts >= 0
    parts = torch.full_like(labels, -1).masked_scatter(
        inside, firsts[inside].unique(return_inverse=True)[1])
    clusters = _cut_large(parts, embeddings, cut)
    codes = (parts * cut['max_clusters'] + clusters).masked_fill(~inside, -1)
    found = find_segments(codes.flatten(), MAX_SEGMENTS)
    count = min(int(found.num_found), MAX_SEGMENTS)
    ids = found.segment_ids.view_as(labels)
    firsts = torch.full_like(found.areas, ids.numel()).scatter_reduce_(
        0, found.segment_ids[found.segment_ids >= 0],
        (ids >= 0).flatten().nonzero().flatten(), 'amin')[:count]
    return CellSegments(
        ids, prototypes(embeddings.flatten(1).T, found.segment_ids, count),
        found.areas[:count], parts.flatten()[firsts],
        labels.flatten()[firsts], segment_neighbors(ids, count))


def _cut_large(parts: Tensor, embeddings: Tensor, cut: dict) -> Tensor:
    """Return the cluster (h, w) of each cell within its part.

    A part too small for two clusters is cluster 0 as a whole. It skips the
    clustering, because a noisy map has many such parts.
    """
    inside = parts >= 0
    areas = parts[inside].bincount()
    counts = (areas / cut['cell_area']).round()
    large = counts > 1
    if not large.any():
        return torch.zeros_like(parts)
    numbers = (large.cumsum(0) - 1).masked_fill(~large, -1)
    regions = torch.where(inside, numbers[parts], -1)
    most = min(int(counts.max()), cut['max_clusters'])
    return partition_regions(
        embeddings[None], regions[None], num_regions=int(large.sum()),
        **dict(cut, max_clusters=most))[0].clamp(min=0)


def _merge(segments: CellSegments, rules: PanopticRules) -> Tensor:
    """Merge segments within their class; return the instances (S,)."""
    if rules.merge == 'linkage' or not len(segments.areas):
        return merge_segments(
            segments.prototypes, segments.areas, segments.adjacency,
            threshold=rules.threshold, far_threshold=rules.far_threshold,
            classes=segments.classes)
    owners, count = torch.full_like(segments.parts, -1), 0
    for part in segments.parts.unique().tolist():
        own = segments.parts == part
        modes = vmf_mean_shift(
            segments.prototypes[own], concentration=rules.concentration,
            weights=segments.areas[own].float(),
            merge_threshold=rules.threshold).labels
        owners[own] = torch.where(modes < 0, modes, modes + count)
        count += len(modes)
    return _renumber(owners)


def _renumber(owners: Tensor) -> Tensor:
    """Renumber instances (S,) without gaps from 0 to K - 1; -1 stays."""
    kept = owners >= 0
    return owners.masked_scatter(
        kept, owners[kept].unique(return_inverse=True)[1])


def _means(segments: CellSegments,
           owners: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the mean prototype (K, D) and the area (K,) of each instance.

    The means are weighted by area and not normalised.
    """
    count = int(owners.max()) + 1 if len(owners) else 0
    weights = segments.areas.to(segments.prototypes)[:, None]
    areas = segment_sums(weights, owners, count)
    sums = segment_sums(weights * segments.prototypes, owners, count)
    return sums / areas, areas[:, 0]


def _join_classes(segments: CellSegments, owners: Tensor,
                  threshold: float) -> Tensor:
    """Merge touching instances of different classes; return owners (S,)."""
    # the product of two means is the mean cosine over all pairs, so this is
    # average linkage too
    means, areas = _means(segments, owners)
    here, there = segments.adjacency.nonzero().T
    other = (segments.classes[here] != segments.classes[there]) & (
        owners[here] >= 0) & (owners[there] >= 0)
    edges = torch.zeros(
        len(areas), len(areas), dtype=torch.bool, device=owners.device)
    edges[owners[here[other]], owners[there[other]]] = True
    merged = merge_segments(means, areas, edges, threshold=threshold)
    return torch.cat([merged, merged.new_full((1, ), -1)])[owners]


def _absorb_small(segments: CellSegments, owners: Tensor, min_cells: float,
                  threshold: float) -> Tensor:
    """Merge small instances into large ones; return owners (S,).

    A small instance joins the instance of the most similar segment that
    touches it and belongs to a large instance. A single segment decides,
    because the mean of a large instance may be dissimilar even where the
    two touch. Without such a segment above `threshold`, it stays as it is.
    """
    means, areas = _means(segments, owners)
    if not len(areas):
        return owners
    small = torch.cat([areas < min_cells, areas.new_ones(1).bool()])[owners]
    here = (small & (owners >= 0)).nonzero().flatten()
    around = segments.adjacency[here] & ~small
    cosines = normalize(means, dim=1)[owners[here]] @ segments.prototypes.T
    best, there = cosines.masked_fill(
        ~around, -torch.inf).max(1) if len(here) else (areas[:0], here)
    top = torch.full_like(areas, -torch.inf).scatter_reduce(
        0, owners[here], best, 'amax')
    chosen = (best > threshold) & (best == top[owners[here]])
    target = torch.arange(len(areas) + 1, device=owners.device)
    target[-1] = -1
    target[owners[here[chosen]]] = owners[there[chosen]]
    return target[owners]
