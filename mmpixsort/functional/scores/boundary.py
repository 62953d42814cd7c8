r"""Compute the boundary F score, which rates predicted class boundaries.

Shapes: B images, H W size, C classes, N points on outlines.

Csurka et al., "What is a good evaluation measure for semantic
segmentation?", BMVC 2013, section 3; Perazzi et al., "A Benchmark Dataset
and Evaluation Methodology for Video Object Segmentation", CVPR 2016 (DAVIS).
A boundary pixel of one map is matched if the other map has a boundary pixel
of the same class within a given distance. Precision is the fraction of the
predicted boundary that is matched, recall is the fraction of the true boundary
that is matched, and F is the harmonic mean of precision and recall.
"""
import math
from typing import NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn.functional import pad

from mmpixsort.functional.checks import check_count, check_labels

CHUNK = 1 << 22  # maximum number of pixels that are looked up at once
RINGS = (9, 81)  # numbers of offsets after which matched points are dropped


class BoundaryCounts(NamedTuple):
    """Numbers of boundary pixels of each class, which add up over images.

    Attributes:
        matched_predicted: (C,) int64 number of predicted boundary pixels with
            a true one nearby.
        predicted: (C,) int64 number of predicted boundary pixels.
        matched_true: (C,) int64 number of true boundary pixels with a
            predicted one nearby.
        true: (C,) int64 number of true boundary pixels.
    """

    matched_predicted: Tensor
    predicted: Tensor
    matched_true: Tensor
    true: Tensor


class BoundaryScores(NamedTuple):
    """Boundary scores of each class in [0, 1].

    Attributes:
        precision: (..., C) fraction of the predicted boundary that is
            matched; this and the other scores are NaN for a class without a
            boundary in both maps.
        recall: (..., C) fraction of the true boundary that is matched.
        f: (..., C) harmonic mean of precision and recall.
    """

    precision: Tensor
    recall: Tensor
    f: Tensor


def boundary_mask(labels: Tensor,
                  *,
                  ignore_index: Optional[int] = None) -> Tensor:
    """Return a mask of the pixels with a 4-neighbour of a different label.

    A boundary is thus marked on both sides, one pixel wide each, and the
    marked pixels of a class are the inner outline of its mask. The border of
    the image is no boundary. The DAVIS code marks only one side.

    Args:
        labels: (B, H, W) integer labels.
        ignore_index: Label whose boundaries are not marked; None marks all
            boundaries.

    Returns:
        (B, H, W) bool mask, True for boundary pixels.

    Raises:
        ValueError: If `labels` does not have three dimensions.
        TypeError: If `labels` does not hold integers.

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
    """Count the boundary pixels of every class and those that are matched.

    A boundary pixel is matched if the other map has a boundary pixel of the
    same class at a Euclidean distance of at most `tolerance`. Pixels whose
    true label is `ignore_index` are void and are ignored in both maps:
    boundaries between void and a class do not count. Boundary pixels of
    either map within the tolerance of void are left out as well, because the
    pixel that would match them may be void.

    Args:
        prediction: (H, W) integer predicted labels. A label outside [0, C) is
            a class that is not counted.
        truth: (H, W) integer true labels. A label outside [0, C) other than
            void is a class that is not counted.
        tolerance: Maximum distance of a match in pixels, 0 or more.
        num_classes: Number of classes C.
        ignore_index: Label of void in `truth`.
        void_edges: Whether to treat void as a class that is not counted, as
            in the masks of Csurka et al., and to leave no pixel out. Use it
            for data sets such as VOC, which separate all objects by a band of
            void, because hardly any boundary would be left otherwise.

    Returns:
        :class:`BoundaryCounts` of one image.

    Raises:
        ValueError: If the shapes differ or an option is out of range.
        TypeError: If a map does not hold integers.

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
    """Compute precision, recall and F of each class from boundary counts.

    If only the prediction has a boundary of a class, its recall is 1 by
    convention, as in DAVIS; if only the truth has one, its precision is 1. F
    is 0 in both cases. If neither map has one, all three scores are NaN, so
    that a mean can leave the class out; DAVIS uses 1 instead.

    Args:
        counts: Counts of shape (..., C), of one image or summed over many.

    Returns:
        :class:`BoundaryScores`, float64.

    Example:
        >>> counts = BoundaryCounts(*torch.tensor([[3], [4], [3], [3]]))
        >>> boundary_scores(counts).f
        tensor([0.8571], dtype=torch.float64)
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
    """Return a map (H, W) of the class at boundary pixels and -1 elsewhere."""
    marked = boundary_mask(labels[None], ignore_index=ignore_index)[0]
    labels = labels.long()
    marked &= (labels >= 0) & (labels < num_classes)
    return labels.masked_fill(~marked, -1)


def _has_match(outline: Tensor, points: Tensor, classes: Tensor,
               tolerance: int) -> Tensor:
    """Return which points have an outline pixel of their class nearby.

    Only the discs around the points are searched, so the cost does not
    depend on C; a dilation for every class would. The search goes outwards,
    and points that are matched are not searched further.

    Args:
        outline: (H, W) int64 class of outline pixels, -1 elsewhere.
        points: (H, W) bool mask of the N points.
        classes: (N,) classes of the points.
        tolerance: Radius of the disc in pixels.

    Returns:
        (N,) bool, True for points with such a pixel in their disc.
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
    """Return the offsets y and x (2, K) in a disc, the nearest first."""
    steps = torch.arange(-radius, radius + 1, device=device)
    y, x = torch.meshgrid(steps, steps, indexing='ij')
    squares, order = (y**2 + x**2).flatten().sort()
    order = order[squares <= radius**2]
    return torch.stack([y.flatten()[order], x.flatten()[order]])


def _near_void(void: Tensor, points: Tensor, tolerance: int) -> Tensor:
    """Return a mask (N,) of the points with a void pixel nearby.

    Args:
        void: (H, W) bool mask of the void pixels.
        points: (H, W) bool mask of the N points.
        tolerance: Radius of the disc around a point in pixels.
    """
    y, x = (part + tolerance for part in points.nonzero(as_tuple=True))
    # number of void pixels of a row before each column; it differs between
    # two columns if there is a void pixel between them
    before = pad(void.long(), [tolerance + 1] + [tolerance] * 3).cumsum(1)
    found = torch.zeros_like(y, dtype=torch.bool)
    for dy in range(-tolerance, tolerance + 1):
        half = math.isqrt(tolerance**2 - dy**2)
        found |= (before[y + dy, x + half + 1] != before[y + dy, x - half])
    return found


def _check_map(name: str, labels: Tensor, dims: int) -> Tensor:
    """Check the number of dimensions of labels and return them as int64."""
    if labels.dim() != dims:
        shape = '(B, H, W)' if dims == 3 else '(H, W)'
        raise ValueError(f'`{name}` must have shape {shape}, got '
                         f'{tuple(labels.shape)}')
    return check_labels(name, labels, labels.shape)
