r"""How well the outlines of the classes of a prediction are placed.

Shapes: B images, H W size, C classes, N points on outlines.

Csurka et al., "What is a good evaluation measure for semantic
segmentation?", BMVC 2013, section 3; Perazzi et al., "A Benchmark Dataset
and Evaluation Methodology for Video Object Segmentation", CVPR 2016 (DAVIS).
A point of one outline is matched when a point of the same class of the other
outline lies within a distance of it; F is the harmonic mean of the matched
shares.
"""
import math
from typing import NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn.functional import pad

from mmpixsort.functional.checks import check_count, check_labels

CHUNK = 1 << 22  # points times offsets that are looked up at once
RINGS = (9, 81)  # offsets of the disc after which matched points drop out


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
    labels = _check_map('labels', labels, 3)
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
        >>> truth = torch.tensor([[0, 0, 0, 0, 1, 1]])
        >>> prediction = torch.tensor([[0, 0, 2, 1, 1, 1]])
        >>> boundary_counts(prediction, truth, tolerance=2,
        ...                 num_classes=2).matched_true
        tensor([1, 1])
    """
    check_count('tolerance', tolerance, minimum=0)
    check_count('num_classes', num_classes)
    prediction = _check_map('prediction', prediction, 2)
    truth = check_labels('truth', truth, prediction.shape)
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
            clear = ~_near_void(void, points, tolerance)
            points = points.masked_scatter(points, clear)
        classes = own[points]
        matched = classes[_has_match(other, points, classes, tolerance)]
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
        Scores of each class, float64.
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


def _has_match(outline: Tensor, points: Tensor, classes: Tensor,
               tolerance: int) -> Tensor:
    """Tell which points have their class in the disc around them.

    The disc is looked up at the points only, not dilated for every class:
    the cost does not depend on C. Most points are matched close by, and are
    not looked up further.

    Args:
        outline: (H, W) int64 class at boundary pixels, else -1.
        points: (H, W) bool with N ones.
        classes: (N,).
        tolerance: Radius of the disc in pixels.

    Returns:
        (N,) bool.
    """
    padded = pad(outline, [tolerance] * 4, value=-1)
    width = padded.shape[1]
    y, x = points.nonzero(as_tuple=True)
    centers = (y + tolerance) * width + x + tolerance
    dy, dx = _disc(tolerance, outline.device)
    found = torch.zeros_like(classes, dtype=torch.bool)
    for offsets in (dy * width + dx).tensor_split(RINGS):
        left = (~found).nonzero()[:, 0]
        for part in left.split(max(1, CHUNK // max(1, len(offsets)))):
            around = padded.flatten()[centers[part, None] + offsets]
            found[part] = (around == classes[part, None]).any(1)
    return found


def _disc(radius: int, device: torch.device) -> Tensor:
    """Return the offsets (2, K) with y^2 + x^2 <= radius^2, nearest first."""
    steps = torch.arange(-radius, radius + 1, device=device)
    y, x = torch.meshgrid(steps, steps, indexing='ij')
    squares, order = (y**2 + x**2).flatten().sort()
    order = order[squares <= radius**2]
    return torch.stack([y.flatten()[order], x.flatten()[order]])


def _near_void(void: Tensor, points: Tensor, tolerance: int) -> Tensor:
    """Tell which of N points (H, W) have void in the disc around them."""
    y, x = (part + tolerance for part in points.nonzero(as_tuple=True))
    # void pixels of a row before each column: two of them bound a chord
    before = pad(void.long(), [tolerance + 1] + [tolerance] * 3).cumsum(1)
    found = torch.zeros_like(y, dtype=torch.bool)
    for dy in range(-tolerance, tolerance + 1):
        half = math.isqrt(tolerance**2 - dy**2)
        found |= (before[y + dy, x + half + 1] != before[y + dy, x - half])
    return found


def _check_map(name: str, labels: Tensor, dims: int) -> Tensor:
    """Return labels of so many dims as int64."""
    if labels.dim() != dims:
        shape = '(B, H, W)' if dims == 3 else '(H, W)'
        raise ValueError(f'`{name}` must have shape {shape}, got '
                         f'{tuple(labels.shape)}')
    return check_labels(name, labels, labels.shape)
