"""Boundary counts against distance transforms, one class at a time."""
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from mmpixsort.functional.scores.boundary import (BoundaryCounts,
                                                  boundary_counts,
                                                  boundary_mask,
                                                  boundary_scores)

NEIGHBORS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def blobs(seed, num_classes=4, void=False, size=(21, 26)):
    """Return a map of blobs, and another that differs from it in places."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randint(num_classes, (1, 1, 6, 7), generator=g).float()
    truth = interpolate(coarse, size=size)[0, 0].long()
    prediction = truth.roll((1, 2), (0, 1))
    noise = torch.rand(size, generator=g) < .03
    prediction = prediction.masked_fill(noise, num_classes - 1)
    if void:
        truth[torch.rand(size, generator=g) < .01] = 255
        truth[15:, :6] = 255
    return prediction, truth


def square(top, left, side=8, size=24):
    labels = torch.zeros(size, size, dtype=torch.long)
    labels[top:top + side, left:left + side] = 1
    return labels


def mask_reference(labels, ignore_index=None):
    """Return boundary pixels by a loop over pixels."""
    height, width = labels.shape
    mask = np.zeros(labels.shape, bool)
    for y in range(height):
        for x in range(width):
            for dy, dx in NEIGHBORS:
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    pair = {labels[y, x], labels[y + dy, x + dx]}
                    mask[y, x] |= len(pair) == 2 and ignore_index not in pair
    return mask


def distance(mask):
    """Return the distance of each pixel to the nearest one of a mask."""
    ndimage = pytest.importorskip('scipy.ndimage')
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask)


def counts_reference(prediction, truth, tolerance, num_classes, void_edges):
    """Return (4, C) from distance transforms of class-wise masks."""
    prediction, truth = prediction.numpy().copy(), truth.numpy()
    void = truth == 255
    clear = np.ones_like(void)
    if not void_edges:
        prediction[void] = 255
        clear = distance(void) > tolerance
    skip = None if void_edges else 255
    outlines = [mask_reference(labels, skip) for labels in (prediction,
                                                            truth)]
    rows = []
    for c in range(num_classes):
        own, other = (outline & (labels == c) for outline, labels in zip(
            outlines, (prediction, truth)))
        rows.append([
            (own & clear & (distance(other) <= tolerance)).sum(),
            (own & clear).sum(),
            (other & clear & (distance(own) <= tolerance)).sum(),
            (other & clear).sum(),
        ])
    return np.array(rows).T


@pytest.mark.parametrize('ignore_index', [None, 0])
@pytest.mark.parametrize('seed', range(2))
def test_boundary_mask__equals_loop(seed, ignore_index):
    labels = torch.stack(blobs(seed))
    got = boundary_mask(labels, ignore_index=ignore_index)
    for i in range(2):
        want = mask_reference(labels[i].numpy(), ignore_index)
        assert (got[i].numpy() == want).all()


@pytest.mark.parametrize('tolerance', [0, 1, 2, 5, 30])
@pytest.mark.parametrize('void, void_edges', [(False, False), (True, False),
                                              (True, True)])
@pytest.mark.parametrize('seed', range(3))
def test_boundary_counts__equal_distance_transforms(seed, void, void_edges,
                                                    tolerance):
    prediction, truth = blobs(seed, void=void)
    got = boundary_counts(
        prediction, truth, tolerance=tolerance, num_classes=5,
        void_edges=void_edges)
    want = counts_reference(prediction, truth, tolerance, 5, void_edges)
    assert np.array_equal(torch.stack(got).numpy(), want)


@pytest.mark.parametrize('shift, tolerance, right', [
    (1, 1, True), (1, 0, False), (3, 3, True), (3, 2, False)])
def test_boundary_counts__shifted_square(shift, tolerance, right):
    counts = boundary_counts(
        square(6, 6 + shift), square(6, 6), tolerance=tolerance,
        num_classes=2)
    # the inner outline of 8 x 8 pixels, and the outer one without corners
    assert counts.predicted.tolist() == counts.true.tolist() == [32, 28]
    f = boundary_scores(counts).f
    if right:
        assert (f == 1).all()
    else:
        assert (f < 1).all()


def test_boundary_counts__shifted_square_by_hand():
    # shifted by 3 at tolerance 2: of the inner outline the left column and
    # its neighbours go unmatched
    counts = boundary_counts(
        square(6, 9), square(6, 6), tolerance=2, num_classes=2)
    # rows 6 and 13 have columns 9..16 against 6..13: up to 15 is matched;
    # column 9 reaches rows 6, 13 within 2 pixels: 7, 8 and 11, 12 too
    # (9, 8) lies 2 below (9, 6); column 16 is nowhere nearer than 3
    assert counts.predicted[1] == 28
    assert counts.matched_predicted[1] == 2 * 7 + 4


@pytest.mark.parametrize('tolerance', [0, 3])
def test_boundary_scores__identical_maps_have_f_1(tolerance):
    _, truth = blobs(0, void=True)
    scores = boundary_scores(
        boundary_counts(truth, truth, tolerance=tolerance, num_classes=4))
    present = ~scores.f.isnan()
    assert present.any() and (scores.f[present] == 1).all()


def test_boundary_scores__class_of_one_map_only_and_of_none():
    scores = boundary_scores(boundary_counts(
        square(6, 6), square(6, 6) * 2, tolerance=1, num_classes=4))
    assert scores.f[:3].tolist() == [1, 0, 0] and scores.f[3].isnan()
    assert scores.precision[:3].tolist() == [1, 0, 1]
    assert scores.recall[:3].tolist() == [1, 1, 0]


def test_boundary_scores__empty_maps_are_nan():
    empty = torch.zeros(5, 6, dtype=torch.long)
    for truth in (empty, empty + 255):
        counts = boundary_counts(empty, truth, tolerance=2, num_classes=2)
        assert torch.stack(counts).sum() == 0
        assert torch.stack(boundary_scores(counts)).isnan().all()


def test_boundary_scores__sum_of_images():
    counts = BoundaryCounts(*torch.tensor([[1], [4], [3], [4]]))
    assert boundary_scores(counts).f.item() == pytest.approx(
        2 * .25 * .75 / (.25 + .75))


def test_boundary_counts__void_edge_is_no_boundary():
    truth = square(6, 6)
    truth[:, :9] = 255
    counts = boundary_counts(
        torch.zeros_like(truth), truth, tolerance=2, num_classes=2)
    # of columns 9 to 13 the first two lie within the tolerance of void
    assert counts.true.tolist() == [8 + 3 + 3, 3 + 3 + 6]
    edges = boundary_counts(
        torch.zeros_like(truth), truth, tolerance=2, num_classes=2,
        void_edges=True)
    # the border of void with class 0, then the square of 8 x 5 pixels
    assert edges.true.tolist() == [16 + 4 + 4 + 8, 2 * 8 + 2 * 5 - 4]


def test_boundary_counts__prediction_under_void_does_not_count():
    prediction, truth = blobs(1, void=True)
    other = prediction.clone()
    other[truth == 255] = 3
    counts = [
        torch.stack(boundary_counts(p, truth, tolerance=2, num_classes=4))
        for p in (prediction, other)
    ]
    assert torch.equal(*counts)


@pytest.mark.parametrize('changes, error, text', [
    (dict(tolerance=-1), ValueError, '`tolerance` must be at least 0'),
    (dict(tolerance=.01), TypeError, '`tolerance` must be an integer'),
    (dict(truth=torch.zeros(3, 3).long()), ValueError, '`truth` must have'),
    (dict(prediction=torch.zeros(1, 4, 4).long()), ValueError,
     '`prediction` must have shape'),
    (dict(prediction=torch.zeros(4, 4)), TypeError, '`prediction` must be'),
])
def test_boundary_counts__bad_input(changes, error, text):
    labels = torch.zeros(4, 4, dtype=torch.long)
    arguments = dict(prediction=labels, truth=labels, tolerance=1,
                     num_classes=2)
    with pytest.raises(error, match=text):
        boundary_counts(**{**arguments, **changes})
