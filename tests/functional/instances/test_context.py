"""`functional.context` against SciPy, loops and cases by hand."""
import math

import numpy as np
import pytest
import torch

from mmpixsort.functional.instances import context
from mmpixsort.functional.instances.context import (context_consistency,
                                                    context_histograms,
                                                    grow_masks)


def scene(seed, count=7, size=(40, 52), num_classes=4):
    """Return blobs of all sizes, some at the border, and a map with void."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(size[0])[:, None]
    x = torch.arange(size[1])
    masks = []
    for _ in range(count):
        cy, cx, r = torch.rand(3, generator=g).tolist()
        distance = (y - cy * size[0])**2 + 2 * (x - cx * size[1])**2
        masks.append(distance < (1 + 12 * r)**2)
    masks = torch.stack(masks) & (torch.rand(count, *size, generator=g) < .8)
    semantic = torch.randint(num_classes + 1, size, generator=g)
    semantic[semantic == num_classes] = 255
    return masks, semantic.byte()


def grown_by_scipy(mask, square):
    """Pixels within the radius, by the exact distance transform."""
    ndimage = pytest.importorskip('scipy.ndimage')
    if not mask.any():
        return np.zeros_like(mask)
    distance = ndimage.distance_transform_edt(~mask)
    return np.rint(distance**2) <= square


def histogram_loop(mask, semantic, num_classes, rho):
    mask, semantic = mask.numpy(), semantic.numpy()
    ring = grown_by_scipy(mask, rho**2 * mask.sum()) & ~mask
    counts = [(semantic[ring] == c).sum() for c in range(num_classes)]
    return np.array(counts) / max(1, sum(counts))


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('rho', [.1, .5, 1., 2., 40.])
def test_context_histograms__equals_scipy(seed, rho):
    masks, semantic = scene(seed)
    hists = context_histograms(masks, semantic, 4, rho)
    want = [histogram_loop(mask, semantic, 4, rho) for mask in masks]
    assert hists.dtype == torch.float32
    assert np.allclose(hists, want, atol=1e-6)


@pytest.mark.parametrize('radius', [0, 1, 2, 3, 5, 13])
def test_grow_masks__equals_binary_dilation(radius):
    ndimage = pytest.importorskip('scipy.ndimage')
    masks, _ = scene(0)
    steps = np.arange(-radius, radius + 1)
    disc = steps[:, None]**2 + steps**2 <= radius**2
    grown = grow_masks(masks, torch.full((7, ), float(radius**2)))
    for mask, found in zip(masks.numpy(), grown.numpy()):
        assert (found == ndimage.binary_dilation(mask, disc)).all()


@pytest.mark.parametrize('seed', range(3))
def test_grow_masks__any_radius_of_each(seed):
    g = torch.Generator().manual_seed(seed)
    masks = torch.rand(6, 30, 25, generator=g) < .01
    masks[2] = False
    squares = torch.rand(6, generator=g).double() * 300
    grown = grow_masks(masks, squares)
    for mask, square, found in zip(masks.numpy(), squares, grown.numpy()):
        assert (found == grown_by_scipy(mask, square.item())).all()


def test_grow_masks__radii_as_large_as_images_are_exact():
    # the last pixel of a whole radius, and no more
    mask = torch.zeros(1, 1, 3001, dtype=torch.bool)
    mask[0, 0, 0] = True
    for radius in (1, 57, 1448, 2897):
        reach = [int(grow_masks(mask, torch.tensor([square])).sum()) - 1
                 for square in (radius**2, radius**2 - 1)]
        assert reach == [radius, radius - 1]
    assert math.isqrt(2897**2 - 1) == 2896


def test_context_histograms__by_hand():
    semantic = torch.tensor([[0, 0, 0, 0, 0],
                             [0, 1, 2, 1, 0],
                             [0, 2, 3, 3, 0],
                             [0, 1, 1, 255, 0]])
    mask = torch.zeros(1, 4, 5, dtype=torch.bool)
    mask[0, 2, 2] = True
    # radius 1: the four neighbours
    hists = context_histograms(mask, semantic, 4, rho=1.)
    assert torch.allclose(hists, torch.tensor([[0., .25, .5, .25]]))
    # radius sqrt 2: the diagonal ones too, one is void
    hists = context_histograms(mask, semantic, 4, rho=1.42)
    assert torch.allclose(hists, torch.tensor([[0., 4, 2, 1]]) / 7)


def test_context_histograms__no_context_is_zero():
    masks = torch.zeros(4, 6, 6, dtype=torch.bool)
    masks[1] = True  # nothing around
    masks[2, 2, 2] = True  # void around
    masks[3, 4, 4] = True  # less than a pixel around would be empty
    semantic = torch.full((6, 6), 255)
    semantic[2, 2] = semantic[4, 4] = 1
    assert (context_histograms(masks, semantic, 3, rho=1.) == 0).all()
    assert (context_histograms(masks, semantic * 0, 3, rho=.5)[3] == 0).all()


def test_context_histograms__own_class_outside_the_mask_counts():
    semantic = torch.zeros(5, 5).long()
    mask = torch.zeros(1, 5, 5, dtype=torch.bool)
    mask[0, 2, 2] = True
    assert context_histograms(mask, semantic, 2, rho=1.).tolist() == [[1, 0]]


def test_context_histograms__order_and_windows_do_not_matter(monkeypatch):
    masks, semantic = scene(5, count=12)
    hists = context_histograms(masks, semantic, 4, 1.)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        context_histograms(masks[order], semantic, 4, 1.), hists[order])
    monkeypatch.setattr(context, 'MAX_PIXELS', 100)
    assert torch.equal(context_histograms(masks, semantic, 4, 1.), hists)


def test_context_histograms__turned_and_flipped():
    masks, semantic = scene(6)
    hists = context_histograms(masks, semantic, 4, 1.5)
    turned = context_histograms(masks.rot90(1, (1, 2)), semantic.rot90(),
                                4, 1.5)
    flipped = context_histograms(masks.flip(2), semantic.flip(1), 4, 1.5)
    assert torch.equal(hists, turned) and torch.equal(hists, flipped)


def test_context_histograms__nothing():
    semantic = torch.zeros(5, 6).long()
    none = torch.zeros(0, 5, 6).bool()
    assert context_histograms(none, semantic, 3, 1.).shape == (0, 3)
    flat = torch.zeros(2, 0, 6).bool()
    assert (context_histograms(flat, semantic[:0], 3, 1.) == 0).all()


@pytest.mark.parametrize('changes, kind, error', [
    (dict(rho=0.), ValueError, '`rho` must be positive'),
    (dict(num_classes=0), ValueError, '`num_classes` must be at least 1'),
    (dict(masks=torch.zeros(2, 4, 5)), ValueError, '`masks` must be a bool'),
    (dict(masks=torch.zeros(4, 5).bool()), ValueError, '`masks` must be a'),
    (dict(semantic=torch.zeros(4, 6).long()), ValueError,
     '`semantic` must have shape'),
    (dict(semantic=torch.zeros(4, 5)), TypeError, '`semantic` must be int'),
])
def test_context_histograms__bad_input(changes, kind, error):
    good = dict(masks=torch.zeros(2, 4, 5).bool(),
                semantic=torch.zeros(4, 5).long(), num_classes=3, rho=1.)
    with pytest.raises(kind, match=error):
        context_histograms(**{**good, **changes})


@pytest.mark.parametrize('seed', range(3))
def test_context_consistency__equals_loop(seed):
    g = torch.Generator().manual_seed(seed)
    query = torch.rand(5, 4, generator=g).softmax(1)
    found = (3 * torch.rand(5, 6, 4, generator=g)).softmax(2)
    found[torch.rand(5, 6, generator=g) < .3] = 0
    query[4], found[3] = 0, 0
    scores = context_consistency(query, found)
    assert scores[3:].isnan().all()
    for q in range(3):
        shared = [sum(min(a, b) for a, b in zip(query[q], row))
                  for row in found[q] if row.sum() > 0]
        assert torch.isclose(scores[q], sum(shared) / len(shared))


def test_context_consistency__bounds():
    query = torch.eye(3)
    assert context_consistency(query, query[:, None]).tolist() == [1, 1, 1]
    other = query[[1, 2, 0], None]
    assert context_consistency(query, other).tolist() == [0, 0, 0]
    assert context_consistency(query, query[:, None][:, :0]).isnan().all()
    assert context_consistency(query[:0], query[:0, None]).shape == (0, )


def test_context_consistency__bad_input():
    with pytest.raises(ValueError, match=r'\(Q, C\) and \(Q, k, C\), got'):
        context_consistency(torch.eye(3), torch.eye(3))
    with pytest.raises(ValueError, match=r'got \(3, 3\) and \(3, 1, 2\)'):
        context_consistency(torch.eye(3), torch.ones(3, 1, 2))
