"""Merging of segments into instances by average linkage on a graph.

Shapes: H W size, S segments, D embedding dims, K instances.

Hwang et al., "Contextual Image Parsing via Panoptic Segment Sorting", MULL
2021, https://doi.org/10.1145/3476098.3485056, merge segments into instances.
Their rule is not public; the rule here is a reconstruction.
"""
import math
from typing import Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_labels


def segment_neighbors(segment_ids: Tensor, num_segments: int) -> Tensor:
    """Return the adjacency matrix of segments that share a pixel side.

    Args:
        segment_ids: (H, W) integer segment of each pixel in [0, S);
            negative where a pixel belongs to none.
        num_segments: S.

    Returns:
        (S, S) bool, symmetric; no segment is its own neighbour.

    Raises:
        ValueError: If the shape is not (H, W) or an id is S or more.
        TypeError: If the ids are not integers.

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
    r"""Merge the most similar neighbouring segments until none are similar.

    The similarity of two clusters is the mean cosine over their pairs of
    segments, weighted by area as if it were over pairs of pixels,

    .. math::
        w(A, B) = \frac{\sum_{p \in A, q \in B} a_p a_q \mu_p \cdot \mu_q}
                       {\sum_{p \in A} a_p \sum_{q \in B} a_q}

    Only clusters that an edge of the graph joins may merge, and a merged
    cluster has the edges of both. Of equally similar pairs, the pair with
    the smallest segment number merges first. It runs in float64 on the CPU;
    one merge takes O(S^2) operations.

    Args:
        prototypes: (S, D) unit rows. A segment whose prototype is not finite
            is ignored.
        areas: (S,) areas in pixels, 0 or more. A segment of area 0 is
            ignored.
        adjacency: (S, S) bool, symmetric, True for spatial neighbours; see
            :func:`segment_neighbors`.
        threshold: Cosine in [-1, 1] that the similarity of two clusters must
            exceed to merge them.
        far_threshold: Cosine above which two segments get an edge wherever
            they lie, for the parts of an occluded object; None joins
            spatial neighbours only.
        classes: (S,) integer classes of the segments; segments of different
            classes never merge. None means that all have one class.

    Returns:
        (S,) int64 instance of each segment, numbered from 0 to K - 1 in the
        order of their first segments; -1 for ignored segments.

    Raises:
        ValueError: If a shape is wrong, an area is negative, `adjacency` is
            not symmetric, or a threshold is outside [-1, 1].
        TypeError: If a threshold is not a number or `classes` are not
            integers.

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
    # on a GPU, launching the few small operations of a merge would take
    # longer than running them
    rows, areas = prototypes.cpu().double(), areas.cpu().double()
    edges = adjacency.cpu()
    similarity = rows @ rows.T
    similarity = (similarity + similarity.T) / 2  # makes ties exact
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
    """Return for each segment (S,) the first segment of its cluster.

    Row i of each argument describes the cluster whose first segment is i.
    The arguments are overwritten.
    """
    count = len(areas)
    owners = torch.arange(count)
    open_pairs = similarity.masked_fill(~edges, -torch.inf)
    best = open_pairs.amax(1) if count else areas
    for _ in range(count - 1):
        # the table is symmetric, so `argmax` finds the smaller number first
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
        # among the other rows, only those of neighbours have changed
        changed = torch.cat([joined.nonzero().flatten(), pair])
        best[changed] = open_pairs[changed].amax(1)
        owners[owners == second] = first
    return owners


def _number(owners: Tensor, takes_part: Tensor) -> Tensor:
    """Number clusters from 0 by their first segment; ignored ones get -1."""
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
    r"""Sum the mean cosines within and between the instances of an image.

    The cosine within an instance, or between two instances, is the mean over
    their pairs of segments, weighted by area as in :func:`merge_segments`.
    Every instance and every pair of instances has the same weight in the
    sum, so that large instances do not dominate.

    Args:
        prototypes: (S, D) unit rows. A segment whose prototype is not finite
            is ignored.
        instance_ids: (S,) integer true instance of each segment, 1 or more;
            segments with 0 or less belong to none and are ignored.
        areas: (S,) areas in pixels; a segment of area 0 is ignored.
        classes: (S,) integer classes of the segments; only pairs of one
            class count. None means that all have one class.
        adjacency: (S, S) bool, symmetric; only pairs with an edge count, as
            merging starts from these. None counts all pairs.

    Returns:
        (2, 2) float64 that can be added up over images. Row 0 holds the sum
        of the means within instances and the sum of the means between
        instances; row 1 holds the numbers of their terms. Row 0 / row 1 are
        the two arguments of :func:`linkage_threshold`.

    Raises:
        ValueError: If a shape is wrong, an area is negative, or `adjacency`
            is not symmetric.
        TypeError: If ids or classes are not integers.

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
    """Return the merging threshold half way between two mean cosines.

    Args:
        within: Mean cosine within instances, in [-1, 1].
        between: Mean cosine between instances, in [-1, 1].

    Returns:
        The argument `threshold` of :func:`merge_segments`.

    Raises:
        ValueError: If a cosine lies outside [-1, 1], or is NaN because there
            was no pair to average.
        TypeError: If a cosine is not a number.

    Example:
        >>> linkage_threshold(.75, .25)
        0.5
    """
    check_cosine('within', within)
    check_cosine('between', between)
    return (within + between) / 2


def check_cosine(name: str, value: float) -> None:
    """Raise unless `value` is a number in [-1, 1] up to rounding errors."""
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
    """Check prototypes and areas, and return the areas in float64."""
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
    """Check the graph and the classes, and return the classes as int64."""
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
