"""Components that are cut where shape and embeddings agree."""
import numpy as np
import pytest
import torch

from mmpixsort.layers import ComponentsBackend, SeparatedComponentsBackend
from mmpixsort.layers.separated_components import merge_pieces


def two_discs():
    """A mask of two discs that overlap, and which column divides them."""
    y, x = np.mgrid[:40, :60]
    discs = [(y - 20)**2 + (x - c)**2 < 144 for c in (18, 38)]
    return torch.from_numpy(discs[0] | discs[1]), torch.from_numpy(x > 28)


def count(ids):
    return len(ids[ids > 0].unique())


def test_cut__needs_embeddings_that_differ():
    mask, right = two_discs()
    differ = 3. * right[None].float()
    backend = SeparatedComponentsBackend(margin=1.5)
    ids = backend(differ, mask)
    assert count(ids) == 2
    assert ids.dtype == torch.int32 and not ids[~mask].any()
    share = (ids == ids[20, 45])[right & mask].float().mean()
    assert share > .9
    assert count(backend(0 * differ, mask)) == 1


def test_cut__needs_a_narrow_place():
    mask = torch.ones(20, 40, dtype=torch.bool)
    halves = 9. * (torch.arange(40) > 19).expand(1, 20, 40).float()
    backend = SeparatedComponentsBackend(margin=1.5, min_distance=40)
    assert count(backend(halves, mask)) == 1


def test_join__reaches_over_gaps():
    mask = torch.zeros(10, 30, dtype=torch.bool)
    for start in (2, 12, 22):
        mask[2:8, start:start + 6] = True
    points = torch.zeros(1, 10, 30)
    points[:, :, 20:] = 5
    apart = SeparatedComponentsBackend()(points, mask)
    assert count(apart) == 3
    joined = SeparatedComponentsBackend(join_margin=1.)(points, mask)
    assert count(joined) == 2 and joined[5, 3] == joined[5, 13]
    near = SeparatedComponentsBackend(join_margin=1., max_gap=3)(points, mask)
    assert torch.equal(near, apart)
    reached = SeparatedComponentsBackend(join_margin=1., max_gap=5)(
        points, mask)
    assert torch.equal(reached, joined)


@pytest.mark.parametrize('seed', range(3))
def test_merge__equals_a_loop_over_pairs(seed):
    rng = np.random.default_rng(seed)
    pieces = np.kron(rng.permutation(24).reshape(4, 6) + 1,
                     np.ones((3, 3), int))
    pieces[:, 8] = 0
    points = rng.normal(size=(*pieces.shape, 2))
    for margin, join in ((.3, None), (.8, None), (.3, .2), (9., 9.)):
        found = merge_pieces(pieces, points, margin=margin, join_margin=join)
        expected = slow_merge(pieces, points, margin, join)
        assert same_partition(found, expected)


def slow_merge(pieces, points, margin, join):
    """Merge the pair of least distance in units of its margin, repeatedly."""
    groups = {i: {i} for i in np.unique(pieces[pieces > 0])}

    def touches(one, other):
        first = np.isin(pieces, list(one))
        grown = np.zeros_like(first)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                ys, xs = np.nonzero(first)
                ys, xs = ys + dy, xs + dx
                ok = ((ys >= 0) & (xs >= 0) & (ys < first.shape[0])
                      & (xs < first.shape[1]))
                grown[ys[ok], xs[ok]] = True
        return (grown & np.isin(pieces, list(other))).any()

    def cost(one, other):
        means = [points[np.isin(pieces, list(g))].mean(0)
                 for g in (one, other)]
        limit = margin if touches(one, other) else join
        return np.inf if limit is None else np.linalg.norm(
            means[0] - means[1]) / limit

    while True:
        pairs = [(cost(groups[a], groups[b]), a, b)
                 for a in groups for b in groups if a < b]
        if not pairs or min(pairs)[0] >= 1:
            break
        _, a, b = min(pairs)
        groups[a] |= groups.pop(b)
    table = {piece: key for key, group in groups.items() for piece in group}
    return np.vectorize(lambda i: table.get(i, 0))(pieces)


def same_partition(one, other):
    pairs = {*zip(one.ravel().tolist(), other.ravel().tolist())}
    return len(pairs) == len({a for a, _ in pairs}) == len(
        {b for _, b in pairs})


def test_backend__takes_empty_and_broken_input():
    backend = SeparatedComponentsBackend(min_pixels=1)
    none = torch.zeros(8, 8, dtype=torch.bool)
    assert not backend(torch.rand(2, 8, 8), none).any()
    points = torch.zeros(2, 8, 8)
    points[0, 0] = float('nan')
    ids = backend(points, ~none)
    assert not ids[0].any() and count(ids) == 1


def test_backend__without_a_denial_is_the_watershed():
    mask, _ = two_discs()
    points = torch.arange(60.).expand(1, 40, 60)
    ids = SeparatedComponentsBackend(
        margin=1e-6, min_distance=5)(points, mask)
    assert torch.equal(ids, ComponentsBackend(watershed=True)(points, mask))


@pytest.mark.parametrize('options, words', [
    (dict(margin=0.), '`margin` must be positive'),
    (dict(join_margin=-1.), '`join_margin` must be positive'),
    (dict(max_gap=0), '`max_gap` must be positive'),
    (dict(min_pixels=0), '`min_pixels`'),
])
def test_backend__names_what_is_wrong(options, words):
    with pytest.raises(ValueError, match=words):
        SeparatedComponentsBackend(**options)
