"""Regions on another grid, and their means, against loops over pixels."""
from fractions import Fraction

import numpy as np
import pytest
import torch

from mmpixsort.functional.words import regions
from mmpixsort.functional.words.regions import pool_regions, resize_ids

SIZES = [((5, 7), (3, 4)), ((7, 5), (10, 3)), ((4, 6), (9, 13)),
         ((9, 9), (9, 4)), ((6, 8), (3, 4)), ((3, 2), (9, 4)),
         ((1, 5), (3, 1))]


def random_ids(seed, size, num_regions=4, batch=2):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(-1, num_regions, (batch, *size), generator=g)


def overlap(i, old, j, new):
    """Length that pixel i of `old` and j of `new` share, exactly."""
    return max(Fraction(0), min(Fraction(i + 1, old), Fraction(j + 1, new)) -
               max(Fraction(i, old), Fraction(j, new)))


def resize_loop(ids, size, num_regions):
    out = torch.full((len(ids), *size), -1)
    h, w = ids.shape[1:]
    for b, y, x in np.ndindex(*out.shape):
        areas = [Fraction(0)] * num_regions
        none = Fraction(0)
        for i, j in np.ndindex(h, w):
            area = overlap(i, h, y, size[0]) * overlap(j, w, x, size[1])
            k = int(ids[b, i, j])
            if 0 <= k < num_regions:
                areas[k] += area
            else:
                none += area
        if 2 * none <= none + sum(areas):
            out[b, y, x] = areas.index(max(areas))
    return out


def pool_loop(features, ids, num_regions, weights):
    features, weights = features.double().numpy(), weights.double().numpy()
    means = np.zeros((len(features), num_regions, features.shape[1]))
    for b in range(len(features)):
        for k in range(num_regions):
            total, area = 0., 0.
            for y, x in np.argwhere(ids[b].numpy() == k):
                total = total + weights[b, y, x] * features[b, :, y, x]
                area += weights[b, y, x]
            if area:
                means[b, k] = total / area
    return torch.from_numpy(means)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('old, new', SIZES)
def test_resize_ids__equals_loop_with_fractions(old, new, seed):
    ids = random_ids(seed, old)
    assert torch.equal(resize_ids(ids, new, 4), resize_loop(ids, new, 4))


def test_resize_ids__in_chunks_of_regions(monkeypatch):
    ids = random_ids(0, (9, 11), num_regions=7)
    want = resize_ids(ids, (4, 5), 7)
    monkeypatch.setattr(regions, 'TABLE_SIZE', 2 * 20 * 3)
    assert torch.equal(resize_ids(ids, (4, 5), 7), want)


def test_resize_ids__does_not_dilate():
    # 8 of 16 patches stay 8; max pooling of the map makes 9 of them
    image = torch.zeros(1, 64, 64, dtype=torch.long)
    image[:, :, 30:] = 1
    ids = resize_ids(image, (4, 4), 2)
    assert ids.flatten().bincount().tolist() == [8, 8]


def test_resize_ids__448_by_320():
    image = torch.zeros(1, 448, 320, dtype=torch.long)
    image[:, :, 160:] = 1
    image[:, 224:] += 2
    ids = resize_ids(image, (28, 20), 4)
    assert ids.flatten().bincount().tolist() == [140] * 4
    # of an odd grid the middle row and column are a tie for the lower id
    ids = resize_ids(image, (7, 5), 4)
    assert ids.flatten().bincount().tolist() == [12, 8, 9, 6]
    assert torch.equal(resize_ids(ids, (448, 320), 4)[:, ::64, ::64], ids)


@pytest.mark.parametrize('row, want', [
    ([0, 1, -1, 1], [0, 1]),
    ([-1, 1, -1, -1], [1, -1]),
    ([3, 2, 1, 1], [2, 1]),
    ([9, 2, 9, 9], [2, -1]),
])
def test_resize_ids__ties_and_padding(row, want):
    got = resize_ids(torch.tensor([[row]]), (1, 2), 4)
    assert got.tolist() == [[want]]


def test_resize_ids__minority_of_padding_is_not_the_largest():
    # 2 of 5 in none, yet each region is smaller
    ids = torch.tensor([[[-1, 0, 1, 2, -1]]])
    assert resize_ids(ids, (1, 1), 3).item() == 0


def test_resize_ids__upsampled_and_back():
    ids = random_ids(1, (5, 6))
    for size in ((15, 12), (35, 48), (11, 17)):
        assert torch.equal(resize_ids(resize_ids(ids, size, 4), (5, 6), 4),
                           ids)
    same = resize_ids(ids.int(), (5, 6), 4)
    assert torch.equal(same, ids) and same.dtype == torch.long


def test_resize_ids__image_does_not_depend_on_its_batch():
    ids = random_ids(2, (6, 7), batch=3)
    together = resize_ids(ids, (4, 5), 4)
    for i in range(3):
        assert torch.equal(resize_ids(ids[i:i + 1], (4, 5), 4)[0],
                           together[i])


@pytest.mark.parametrize('args, error', [
    ((torch.zeros(4, 4).long(), (2, 2), 3), r'`ids` must have shape \(B'),
    ((torch.zeros(1, 4, 4), (2, 2), 3), '`ids` must be integers'),
    ((torch.zeros(1, 4, 4).long(), 2, 3), '`size` must be'),
    ((torch.zeros(1, 4, 4).long(), (2, 0), 3), '`size` must be at least'),
    ((torch.zeros(1, 4, 4).long(), (2, 2), 0), '`num_regions` must be'),
])
def test_resize_ids__bad_input(args, error):
    with pytest.raises((TypeError, ValueError), match=error):
        resize_ids(*args)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('weighted', [False, True])
def test_pool_regions__equals_loop(seed, weighted):
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 5, 6, 7, generator=g)
    weights = torch.rand(2, 6, 7, generator=g) if weighted else None
    ids = random_ids(seed, (6, 7), num_regions=6)
    ids[0][ids[0] == 2] = -1
    means, valid = pool_regions(features, ids, 6, weights)
    want = pool_loop(features, ids, 6,
                     torch.ones(2, 6, 7) if weights is None else weights)
    assert torch.allclose(means.double(), want, atol=1e-6)
    assert valid.tolist() == [[bool((row == k).any()) for k in range(6)]
                              for row in ids]
    assert not valid[0, 2] and (means[0, 2] == 0).all()


def test_pool_regions__padding_may_hold_anything():
    features = torch.randn(1, 3, 2, 4)
    ids = torch.tensor([[[0, 0, 1, 1], [0, 7, 1, -1]]])
    weights = torch.ones(1, 2, 4)
    weights[0, 0, 0] = 0
    clean = pool_regions(features, ids, 3, weights)
    dirty, dirty_weights = features.clone(), weights.clone()
    dirty[0, :, 1, 3] = torch.nan
    dirty[0, :, 1, 1] = torch.inf
    dirty[0, :, 0, 0] = torch.nan
    dirty_weights[0, 1, 3] = torch.nan
    dirty.requires_grad_()
    got = pool_regions(dirty, ids, 3, dirty_weights)
    assert torch.equal(got.means, clean.means)
    assert torch.equal(got.valid, clean.valid)
    got.means.sum().backward()
    assert dirty.grad.isfinite().all()
    assert (dirty.grad[0, :, 1, [1, 3]] == 0).all()


def test_pool_regions__gradient():
    ids = random_ids(3, (3, 4))
    features = torch.randn(2, 3, 3, 4, dtype=torch.double,
                           requires_grad=True)
    weights = torch.rand(2, 3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f, w: pool_regions(f, ids, 4, w).means, (features, weights))


def test_pool_regions__no_region_at_all():
    features = torch.randn(2, 3, 2, 2, requires_grad=True)
    means, valid = pool_regions(features, torch.full((2, 2, 2), -1), 4)
    assert means.shape == (2, 4, 3) and not valid.any()
    means.sum().backward()
    assert (features.grad == 0).all()


def test_pool_regions__full_precision_inside_autocast():
    features = torch.randn(1, 4, 8, 8)
    ids = random_ids(0, (8, 8), batch=1)
    want = pool_regions(features, ids, 4).means
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = pool_regions(features, ids, 4).means
        half = pool_regions(features.half(), ids, 4).means
    assert got.dtype == half.dtype == torch.float32
    assert torch.equal(got, want)
    assert torch.allclose(half, want, atol=1e-3)


@pytest.mark.parametrize('features, ids, weights, error', [
    (torch.zeros(1, 2, 4), torch.zeros(1, 4, 4).long(), None,
     '`features` must be a floating'),
    (torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 5).long(), None,
     'resize them with `resize_ids`'),
    (torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4), None,
     '`ids` must be integers'),
    (torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4).long(),
     torch.ones(1, 2, 2), '`weights` must have shape'),
])
def test_pool_regions__bad_input(features, ids, weights, error):
    with pytest.raises((TypeError, ValueError), match=error):
        pool_regions(features, ids, 3, weights)
