"""Segments become instances: average linkage on a graph of segments.

Shapes: H W size, S segments, D embedding dims, K instances.

A reconstruction of the merging that Hwang et al., "Contextual Image Parsing
via Panoptic Segment Sorting", MULL 2021,
https://doi.org/10.1145/3476098.3485056, speak of: their rule is not in any
text that we could read.
"""
import math
from typing import Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_labels


def segment_neighbors(segment_ids: Tensor, num_segments: int) -> Tensor:
    """Tell which segments share a side of a pixel.

    Args:
        segment_ids: (H, W) integer in [0, S), negative: no segment.
        num_segments: S.

    Returns:
        (S, S) bool, symmetric; no segment is its own neighbour.

    Raises:
        ValueError: On another shape, or an id of S or more.

    Example:
        >>> segment_neighbors(torch.tensor([[0, 1, -1, 2]]), 3).long()
        tensor([[0, 1, 0],
                [1, 0, 0],
                [0, 0, 0]])
    """
    check_count('num_segments', num_segments, minimum=0)
    if segment_ids.dim() != 2:
        raise ValueError('`segment_ids` must have shape (H, W), got '
                         f'{tuple(segment_ids.shape)}')
    ids = check_labels('segment_ids', segment_ids, segment_ids.shape)
    if ids.numel() and ids.max() >= num_segments:
        raise ValueError('`segment_ids` must be below `num_segments` '
                         f'({num_segments}), got {int(ids.max())}')
    here = torch.cat([ids[:, :-1].flatten(), ids[:-1].flatten()])
    there = torch.cat([ids[:, 1:].flatten(), ids[1:].flatten()])
    touching = (here >= 0) & (there >= 0) & (here != there)
    adjacency = torch.zeros(
        num_segments, num_segments, dtype=torch.bool, device=ids.device)
    adjacency[here[touching], there[touching]] = True
    return adjacency | adjacency.T


@torch.no_grad()
def merge_segments(prototypes: Tensor,
                   areas: Tensor,
                   adjacency: Tensor,
                   *,
                   threshold: float,
                   far_threshold: Optional[float] = None,
                   classes: Optional[Tensor] = None) -> Tensor:
    r"""Merge the most similar neighbours until none are similar enough.

    The similarity of two clusters is the mean cosine of their pairs of
    segments, weighted by areas as if over pixels,

    .. math::
        w(A, B) = \frac{\sum_{p \in A, q \in B} a_p a_q \mu_p \cdot \mu_q}
                       {\sum_{p \in A} a_p \sum_{q \in B} a_q}

    Only clusters that an edge joins may merge, and a merged cluster has the
    edges of both. Of equally similar pairs the one with the smallest segment
    merges first. In float64 on the CPU, O(S^2) a merge.

    Args:
        prototypes: (S, D) unit rows.
        areas: (S,) pixels, 0 or more. A segment without any takes no part,
            and neither does one whose prototype is not finite.
        adjacency: (S, S) bool, symmetric: spatial neighbours.
        threshold: Cosine that a pair of clusters must exceed.
        far_threshold: Cosine above which two segments get an edge wherever
            they lie: parts of what something occludes; None: neighbours
            alone.
        classes: (S,) integer; different ones never merge. None: all alike.

    Returns:
        (S,) int64, 0 to K - 1 in order of the first segment of each
        instance; -1 for a segment that takes no part.

    Raises:
        TypeError, ValueError: On wrong shapes, negative areas, or a
            threshold that is no cosine.

    Example:
        >>> prototypes = torch.tensor([[1., 0.], [1., 0.], [0., 1.]])
        >>> chain = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).bool()
        >>> merge_segments(
        ...     prototypes, torch.ones(3), chain, threshold=.5)
        tensor([0, 0, 1])
    """
    check_cosine('threshold', threshold)
    if far_threshold is not None:
        check_cosine('far_threshold', far_threshold)
    areas = _check_segments(prototypes, areas)
    classes = _check_graph(adjacency, classes, len(areas))
    # a merge takes a few small operations: launching them takes longer
    rows, areas = prototypes.cpu().double(), areas.cpu().double()
    edges = adjacency.cpu()
    similarity = rows @ rows.T
    similarity = (similarity + similarity.T) / 2  # ties, to the last bit
    takes_part = (areas > 0) & rows.isfinite().all(1)
    if far_threshold is not None:
        edges = edges | (similarity > far_threshold)
    edges = edges & (takes_part & takes_part[:, None])
    if classes is not None:
        classes = classes.cpu()
        edges &= classes == classes[:, None]
    owners = _link(similarity, areas, edges.fill_diagonal_(False), threshold)
    return _number(owners, takes_part).to(prototypes.device)


def _link(similarity: Tensor, areas: Tensor, edges: Tensor,
          threshold: float) -> Tensor:
    """Return the first segment (S,) of the cluster of each segment.

    Row i of all arguments is the cluster whose first segment is i; they are
    overwritten.
    """
    count = len(areas)
    owners = torch.arange(count)
    open_pairs = similarity.masked_fill(~edges, -torch.inf)
    best = open_pairs.amax(1) if count else areas
    for _ in range(count - 1):
        # the table is symmetric: the first of two rows comes first
        first = int(best.argmax())
        if not best[first] > threshold:
            break
        second = int(open_pairs[first].argmax())
        pair = torch.tensor([first, second])
        total = areas[pair].sum()
        mean = areas[pair] / total @ similarity[pair]
        similarity[first], similarity[:, first] = mean, mean
        areas[first] = total
        joined = edges[pair].any(0)
        joined[pair] = False
        edges[first], edges[:, first] = joined, joined
        edges[second], edges[:, second] = False, False
        row = mean.masked_fill(~joined, -torch.inf)
        open_pairs[first], open_pairs[:, first] = row, row
        open_pairs[second], open_pairs[:, second] = -torch.inf, -torch.inf
        # of the other rows those around have changed
        changed = torch.cat([joined.nonzero().flatten(), pair])
        best[changed] = open_pairs[changed].amax(1)
        owners[owners == second] = first
    return owners


def _number(owners: Tensor, takes_part: Tensor) -> Tensor:
    """Return 0 to K - 1 by first segments, -1 where none takes part."""
    labels = torch.full_like(owners, -1)
    labels[takes_part] = owners[takes_part].unique(return_inverse=True)[1]
    return labels


@torch.no_grad()
def pair_statistics(prototypes: Tensor,
                    instance_ids: Tensor,
                    areas: Tensor,
                    *,
                    classes: Optional[Tensor] = None,
                    adjacency: Optional[Tensor] = None) -> Tensor:
    r"""Sum the cosines within and between the instances of an image.

    Within an instance and between two the mean over pairs of segments,
    weighted by areas as in :func:`merge_segments`. Every instance and every
    pair of instances then counts alike, so that no large one decides.

    Args:
        prototypes: (S, D) unit rows.
        instance_ids: (S,) integer, 1 or more; 0 and less: of no instance.
        areas: (S,) pixels; a segment without any takes no part.
        classes: (S,) integer: only pairs of segments of one class count.
            None: all alike.
        adjacency: (S, S) bool, symmetric: only pairs with an edge count, as
            merging starts from these. None: all pairs.

    Returns:
        (2, 2) float64 that adds up over images: row 0 sums of means, within
        and between; row 1 how many, instances and pairs of instances of
        which any pair of segments counts. Row 0 / row 1 are the two
        arguments of :func:`linkage_threshold`.

    Raises:
        TypeError, ValueError: On wrong shapes.

    Example:
        >>> prototypes = torch.tensor([[1., 0.], [1., 0.], [0., 1.]])
        >>> total = pair_statistics(
        ...     prototypes, torch.tensor([1, 1, 2]), torch.ones(3))
        >>> linkage_threshold(*(total[0] / total[1]).tolist())
        0.5
    """
    areas = _check_segments(prototypes, areas)
    instance_ids = check_labels('instance_ids', instance_ids, areas.shape)
    kept = (instance_ids > 0) & (areas > 0) & prototypes.isfinite().all(1)
    pairs = kept & kept[:, None]
    if adjacency is not None:
        _check_graph(adjacency, None, len(areas))
        pairs &= adjacency
    if classes is not None:
        classes = check_labels('classes', classes, areas.shape)
        pairs &= classes == classes[:, None]
    here, there = pairs.triu(1).nonzero().T
    rows, areas = prototypes.double(), areas.double()
    cosines, weights = (rows @ rows.T)[here, there], areas[here] * areas[there]
    ends = torch.stack([instance_ids[here], instance_ids[there]])
    names = [ends.amin(0), ends.amax(0)]
    if classes is not None:  # an instance of two classes counts as two
        names.append(classes[here])
    names, index = torch.stack(names).unique(dim=1, return_inverse=True)
    sums = rows.new_zeros(2, names.shape[1]).index_add(
        1, index, torch.stack([weights * cosines, weights]))
    means, own = sums[0] / sums[1], names[0] == names[1]
    return torch.stack([
        torch.stack([means[own].sum(), means[~own].sum()]),
        torch.stack([own.sum(), (~own).sum()]).double()
    ])


def linkage_threshold(within: float, between: float) -> float:
    """Return the cosine half way between two means.

    Args:
        within: Mean cosine within instances, in [-1, 1].
        between: Mean cosine between instances, in [-1, 1].

    Returns:
        `threshold` of :func:`merge_segments`.

    Raises:
        ValueError: For NaN, the mean of no pair, or what is no cosine.

    Example:
        >>> linkage_threshold(.75, .25)
        0.5
    """
    check_cosine('within', within)
    check_cosine('between', between)
    return (within + between) / 2


def check_cosine(name: str, value: float) -> None:
    """Raise unless `value` is a number in [-1, 1], give or take rounding."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f'`{name}` must be a number, got '
                        f'{type(value).__name__}')
    if math.isnan(value):
        raise ValueError(f'`{name}` must be a cosine, got nan, the mean of '
                         'no pair; take more images')
    if abs(value) > 1 + 1e-6:
        raise ValueError(f'`{name}` must be a cosine in [-1, 1], got '
                         f'{value}')


def _check_segments(prototypes: Tensor, areas: Tensor) -> Tensor:
    """Return the areas in float64, after a check."""
    if prototypes.dim() != 2 or not prototypes.is_floating_point():
        raise ValueError(
            '`prototypes` must be a floating tensor of shape (S, D), got '
            f'{prototypes.dtype} of shape {tuple(prototypes.shape)}')
    if areas.shape != prototypes.shape[:1]:
        raise ValueError(f'`areas` must have shape ({len(prototypes)},), got '
                         f'{tuple(areas.shape)}')
    areas = areas.double()
    if (areas < 0).any():
        raise ValueError('`areas` must not be negative, got '
                         f'{areas.min().item()}')
    return areas


def _check_graph(adjacency: Tensor, classes: Optional[Tensor],
                 count: int) -> Optional[Tensor]:
    """Return the classes as int64, after a check of the graph."""
    if adjacency.dtype != torch.bool or adjacency.shape != (count, count):
        raise ValueError(
            f'`adjacency` must be a bool tensor of shape ({count}, {count}), '
            f'got {adjacency.dtype} of shape {tuple(adjacency.shape)}')
    if not torch.equal(adjacency, adjacency.T):
        raise ValueError('`adjacency` must be symmetric, got an edge in one '
                         'direction; join both by `adjacency | adjacency.T`')
    if classes is None:
        return None
    return check_labels('classes', classes, (count, ))
