"""The boundary F score against loops and hand cases."""
import numpy as np
import pytest
import torch

from mmpixsort.functional.boundary import (BoundaryCounts, boundary_counts,
                                           boundary_f)


def _edges(labels, truth, wanted):
    """Boundary pixels of a class, by the definition."""
    height, width = labels.shape
    found = set()
    for y in range(height):
        for x in range(width):
            if labels[y, x] != wanted or truth[y, x] == 255:
                continue
            for v, u in ((y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)):
                if 0 <= v < height and 0 <= u < width and (
                        truth[v, u] != 255 and labels[v, u] != wanted):
                    found.add((y, x))
    return found


def _near(point, points, radius):
    return any((point[0] - y)**2 + (point[1] - x)**2 <= radius**2
               for y, x in points)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('tolerance', [0, 1, 2])
def test_boundary_counts__equal_loops(seed, tolerance):
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, 3, (2, 4, 5)).repeat(3, 1).repeat(3, 2)
    prediction, truth = maps
    truth = truth.copy()
    truth[:2, :4] = 255
    void = list(zip(*np.nonzero(truth == 255)))
    want = []
    for label in range(3):
        found, wanted = (
            {p for p in _edges(m, truth, label)
             if not _near(p, void, tolerance)} for m in (prediction, truth))
        want.append([
            len(found), sum(_near(p, wanted, tolerance) for p in found),
            len(wanted), sum(_near(p, found, tolerance) for p in wanted)])
    counts = boundary_counts(
        torch.from_numpy(prediction), torch.from_numpy(truth),
        num_classes=3, tolerance=tolerance)
    assert torch.stack(counts).T.tolist() == want


def _square(shift=0):
    labels = torch.zeros(20, 20, dtype=torch.long)
    labels[5:12, 5 + shift:12 + shift] = 1
    return labels


@pytest.mark.parametrize('shift, tolerance, perfect', [
    (0, 0, True), (1, 1, True), (1, 0, False), (3, 2, False), (3, 3, True)])
def test_boundary_f__of_a_shifted_square(shift, tolerance, perfect):
    scores = boundary_f(boundary_counts(
        _square(shift), _square(), num_classes=2, tolerance=tolerance))
    assert bool((scores == 1).all()) == perfect


def test_boundary_f__no_boundary():
    same = torch.zeros(4, 4, dtype=torch.long)
    counts = boundary_counts(same, same, num_classes=2, tolerance=1)
    assert boundary_f(counts).isnan().all()
    lonely = BoundaryCounts(*torch.tensor([[3], [0], [0], [0]]))
    assert boundary_f(lonely).item() == 0


def test_boundary_counts__bad_input():
    labels = torch.zeros(4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match='`tolerance` must be at least 0'):
        boundary_counts(labels, labels, num_classes=2, tolerance=-1)
    with pytest.raises(ValueError, match='must have one shape'):
        boundary_counts(labels, labels[:2], num_classes=2, tolerance=1)
