r"""Boundary F score: how well predicted class boundaries are placed.

Shapes: B images, H W size, C classes, N points on outlines.

Csurka et al., "What is a good evaluation measure for semantic
segmentation?", BMVC 2013, section 3; Perazzi et al., "A Benchmark Dataset
and Evaluation Methodology for Video Object Segmentation", CVPR 2016 (DAVIS).
A boundary pixel of one map is matched if the other map has a boundary pixel
of the same class within a given distance. Precision is the matched fraction
of the predicted boundary, recall that of the true boundary, and F is their
harmonic mean.
"""
import math
from typing import NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn.functional import pad

from mmpixsort.functional.checks import check_count, check_labels

CHUNK = 1 << 22  # number of points times offsets that are looked up at once
RINGS = (9, 81)  # numbers of offsets after which matched points are dropped


class BoundaryCounts(NamedTuple):
    """Numbers of boundary pixels of each class, which add up over images.

    Attributes:
        matched_predicted: (C,) int64, predicted boundary pixels near a true
            one.
        predicted: (C,) int64, all predicted boundary pixels.
        matched_true: (C,) int64, true boundary pixels near a predicted one.
        true: (C,) int64, all true boundary pixels.
    """

    matched_predicted: Tensor
    predicted: Tensor
    matched_true: Tensor
    true: Tensor


class BoundaryScores(NamedTuple):
    """Boundary scores of each class in [0, 1], NaN without any boundary.

    Attributes:
        precision: (..., C) matched fraction of the predicted boundary.
        recall: (..., C) matched fraction of the true boundary.
        f: (..., C) harmonic mean of both.
    """

    precision: Tensor
    recall: Tensor
    f: Tensor


def boundary_mask(labels: Tensor,
                  *,
                  ignore_index: Optional[int] = None) -> Tensor:
    """Return a mask of the pixels whose label differs from a 4-neighbour's.

    Both sides of a boundary are marked, each one pixel wide, so the marked
    pixels of a class are the inner outline of its mask. The border of the
    image is no boundary. The DAVIS code marks one side only.

    Args:
        labels: (B, H, W) integer labels.
        ignore_index: Label whose boundaries are not marked; None marks all.

    Returns:
        (B, H, W) bool, True for boundary pixels.

    Raises:
        ValueError: If `labels` does not have three dimensions.
        TypeError: If `labels` are not integers.

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
    same class at a Euclidean distance of at most `tolerance`. Void pixels,
    whose true label is `ignore_index`, are ignored: the prediction is set to
    void there too, and a boundary with void does not count. Boundary pixels
    of either map within the tolerance of void are left out as well, because
    the pixel that would match them may be void.

    Args:
        prediction: (H, W) integer labels; a label outside [0, C) is a class
            that is not counted.
        truth: (H, W) integer labels, likewise.
        tolerance: Largest distance of a match in pixels, 0 or more.
        num_classes: C.
        ignore_index: Label of void in `truth`.
        void_edges: Whether to treat void as one more class that is not
            counted, as the class-wise masks of Csurka et al. do, and to
            leave nothing out. Use it for data sets that separate all objects
            by a band of void, such as VOC: hardly any boundary would be left
            otherwise.

    Returns:
        :class:`BoundaryCounts` of one image.

    Raises:
        ValueError: If the shapes differ or an option is out of range.
        TypeError: If labels are not integers.

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

    If only one map has a boundary of the class, the fraction of the other
    map is 1 by convention and F is 0, as in DAVIS. If neither map has one,
    all three are NaN, so that a mean may leave the class out (DAVIS: 1).

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
    """Return which points have a pixel of their class in the disc around.

    Instead of a dilation for every class, the disc is read at the points
    only, so the cost does not depend on C. Most points are matched close by
    and are not searched further.

    Args:
        outline: (H, W) int64 class at boundary pixels, -1 elsewhere.
        points: (H, W) bool mask of the N points.
        classes: (N,) classes of the points.
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
    """Return the offsets y and x (2, K) of a disc, nearest first."""
    steps = torch.arange(-radius, radius + 1, device=device)
    y, x = torch.meshgrid(steps, steps, indexing='ij')
    squares, order = (y**2 + x**2).flatten().sort()
    order = order[squares <= radius**2]
    return torch.stack([y.flatten()[order], x.flatten()[order]])


def _near_void(void: Tensor, points: Tensor, tolerance: int) -> Tensor:
    """Return which of N points (H, W) have void in the disc around (N,)."""
    y, x = (part + tolerance for part in points.nonzero(as_tuple=True))
    # number of void pixels of a row before each column; the difference of two
    # such numbers counts the void pixels between them
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
