r"""How well the outlines of the classes of a prediction are placed.

Shapes: B images, H W size, C classes, N points on outlines.

Csurka et al., "What is a good evaluation measure for semantic
segmentation?", BMVC 2013, section 3; Perazzi et al., "A Benchmark Dataset
and Evaluation Methodology for Video Object Segmentation", CVPR 2016 (DAVIS).
A point of one outline is matched when a point of the same class of the other
outline lies within a distance of it; F is the harmonic mean of the matched
shares.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .checks import check_count, check_labels

CHUNK = 1 << 22  # points times offsets that are looked up at once


class BoundaryCounts(NamedTuple):
    """Boundary pixels of each class; counts of several images add up.

    Attributes:
        matched_predicted: (C,) int64, predicted ones near a true one.
        predicted: (C,) int64.
        matched_true: (C,) int64, true ones near a predicted one.
        true: (C,) int64.
    """

    matched_predicted: Tensor
    predicted: Tensor
    matched_true: Tensor
    true: Tensor


class BoundaryScores(NamedTuple):
    """Scores of each class in [0, 1], NaN where it has no boundary.

    Attributes:
        precision: (..., C).
        recall: (..., C).
        f: (..., C), their harmonic mean.
    """

    precision: Tensor
    recall: Tensor
    f: Tensor


def boundary_mask(labels: Tensor,
                  *,
                  ignore_index: Optional[int] = None) -> Tensor:
    """Tell which pixels differ from a 4-neighbour.

    Both sides of a change are marked, each one pixel wide: within a class
    it is the inner outline of its mask. The border of the image is none.
    DAVIS marks one side only, between pixels.

    Args:
        labels: (B, H, W) integer.
        ignore_index: A change from or to this label is none; None: every
            change is one.

    Returns:
        (B, H, W) bool.

    Example:
        >>> boundary_mask(torch.tensor([[[0, 0, 1, 1]]])).tolist()
        [[[False, True, True, False]]]
    """
    _check_map('labels', labels, 3)
    mask = torch.zeros_like(labels, dtype=torch.bool)
    for dim in (1, 2):
        count = labels.shape[dim] - 1
        before, after = (labels.narrow(dim, i, count) for i in (0, 1))
        change = before != after
        if ignore_index is not None:
            change &= (before != ignore_index) & (after != ignore_index)
        for i in (0, 1):
            mask.narrow(dim, i, count).logical_or_(change)
    return mask


@torch.no_grad()
def boundary_counts(prediction: Tensor,
                    truth: Tensor,
                    *,
                    tolerance: int,
                    num_classes: int,
                    ignore_index: int = 255,
                    void_edges: bool = False) -> BoundaryCounts:
    """Count and match the boundary pixels of every class.

    A boundary pixel is matched when one of its class in the other map lies
    at a Euclidean distance of at most `tolerance`. Void, where the truth is
    `ignore_index`, takes no part: the prediction is void there too, a change
    from or to void is no boundary, and boundary pixels of either map within
    the tolerance of void are left out, for their match may lie under it.

    Args:
        prediction: (H, W) integer; a label outside [0, C) is a class that
            is not counted.
        truth: (H, W) integer, likewise.
        tolerance: Pixels, 0 or more.
        num_classes: C.
        ignore_index: Void in the truth.
        void_edges: Take void for one more class that is not counted, as the
            class-wise masks of Csurka et al. have it, and leave nothing
            out. For data sets that part all objects by a void band (VOC),
            where hardly any boundary would be left.

    Returns:
        Counts of each class.

    Raises:
        ValueError: On unequal shapes or a count out of range.
        TypeError: On labels that are no integers.

    Example:
        >>> truth = torch.tensor([[0, 0, 0, 1, 1, 1]])
        >>> counts = boundary_counts(truth.roll(1), truth, tolerance=1,
        ...                          num_classes=2)
        >>> boundary_scores(counts).f
        tensor([0.6667, 0.6667])
    """
    check_count('tolerance', tolerance, minimum=0)
    check_count('num_classes', num_classes)
    _check_map('prediction', prediction, 2)
    check_labels('truth', truth, prediction.shape)
    void = truth == ignore_index
    skip = None if void_edges else ignore_index
    if not void_edges:
        prediction = prediction.masked_fill(void, ignore_index)
    outlines = [
        _outline(labels, num_classes, skip) for labels in (prediction, truth)
    ]
    counts = []
    for own, other in (outlines, outlines[::-1]):
        points = own >= 0
        if not void_edges:
            points[points.clone()] = ~_near(void, points, void.new_ones(()),
                                            tolerance)
        classes = own[points]
        matched = classes[_near(other, points, classes, tolerance)]
        counts += [
            part.bincount(minlength=num_classes) for part in (matched,
                                                              classes)
        ]
    return BoundaryCounts(*counts)


def boundary_scores(counts: BoundaryCounts) -> BoundaryScores:
    """Return precision, recall and F of counts.

    Where one map alone has a boundary of the class, the share of the other
    is 1 by convention and F is 0 (as in DAVIS); where none has one, all are
    NaN (DAVIS: 1), so that a mean may leave the class out.

    Args:
        counts: (..., C) each, of one image or sums over many.

    Returns:
        (..., C) float64 on a processor or GPU.
    """
    matched_predicted, predicted, matched_true, true = (
        part.double() for part in counts)
    absent = (predicted + true) == 0
    shares = []
    for matched, total in ((matched_predicted, predicted), (matched_true,
                                                            true)):
        share = torch.where(total > 0, matched / total.clamp(min=1), 1.)
        shares.append(share.masked_fill(absent, float('nan')))
    precision, recall = shares
    f = 2 * precision * recall / (precision + recall)
    return BoundaryScores(precision, recall,
                          f.masked_fill(precision + recall == 0, 0.))


def _outline(labels: Tensor, num_classes: int,
             ignore_index: Optional[int]) -> Tensor:
    """Return (H, W) int64: the class at its boundary pixels, else -1."""
    marked = boundary_mask(labels[None], ignore_index=ignore_index)[0]
    labels = labels.long()
    marked &= (labels >= 0) & (labels < num_classes)
    return labels.masked_fill(~marked, -1)


def _near(labels: Tensor, points: Tensor, wanted: Tensor,
          tolerance: int) -> Tensor:
    """Tell which points have a wanted label in the disc around them.

    The disc is looked up at the points only, not dilated for every class:
    one pass whatever C is.

    Args:
        labels: (H, W), never `wanted` where the map is padded: -1 or False.
        points: (H, W) bool with N ones.
        wanted: (N,), or () for all.
        tolerance: Radius of the disc in pixels.

    Returns:
        (N,) bool.
    """
    nothing = False if labels.dtype == torch.bool else -1
    padded = torch.nn.functional.pad(labels, [tolerance] * 4, value=nothing)
    width = padded.shape[1]
    y, x = points.nonzero(as_tuple=True)
    center = (y + tolerance) * width + x + tolerance
    disc = _disc(tolerance, labels.device)
    offsets = disc[0] * width + disc[1]
    wanted = wanted.expand(len(center))
    size = max(1, CHUNK // len(offsets))
    found = [
        (padded.flatten()[at[:, None] + offsets] == label[:, None]).any(1)
        for at, label in zip(center.split(size), wanted.split(size))
    ]
    return torch.cat(found)


def _disc(radius: int, device: torch.device) -> Tensor:
    """Return the offsets (2, K) with y^2 + x^2 <= radius^2."""
    steps = torch.arange(-radius, radius + 1, device=device)
    y, x = torch.meshgrid(steps, steps, indexing='ij')
    inside = y**2 + x**2 <= radius**2
    return torch.stack([y[inside], x[inside]])


def _check_map(name: str, labels: Tensor, dims: int) -> None:
    if labels.dim() != dims:
        shape = '(B, H, W)' if dims == 3 else '(H, W)'
        raise ValueError(f'`{name}` must have shape {shape}, got '
                         f'{tuple(labels.shape)}')
    check_labels(name, labels, labels.shape)
