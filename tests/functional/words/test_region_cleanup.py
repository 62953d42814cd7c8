"""Merging, slivers and numbers of regions against loops."""
import numpy as np
import pytest
import torch
from scipy import ndimage

from mmpixsort.functional.words.region_cleanup import (absorb_slivers,
                                                       compact_ids,
                                                       connected_parts,
                                                       merge_similar)


def random_ids(seed, size=(7, 9), num_regions=4, batch=3):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(-1, num_regions, (batch, *size), generator=g)


def parts_by_scipy(ids):
    """Parts of an image, numbered by their first pixel."""
    out = np.full(ids.shape, -1)
    for k in set(ids.flat) - {-1}:
        labels, count = ndimage.label(ids == k)
        for part in range(1, count + 1):
            out[labels == part] = np.flatnonzero(labels == part)[0]
    return out


@pytest.mark.parametrize('seed', range(3))
def test_connected_parts__equals_scipy(seed):
    ids = random_ids(seed, num_regions=2)
    got = connected_parts(ids)
    for i in range(3):
        want = parts_by_scipy(ids[i].numpy())
        assert (got[i].numpy() == np.where(want < 0, -1,
                                           want + i * 63)).all()


def test_connected_parts__long_way_round():
    spiral = torch.ones(1, 21, 21, dtype=torch.long)
    spiral[0, 1::4, :-1] = 0
    spiral[0, 3::4, 1:] = 0
    parts = connected_parts(spiral)
    assert len(parts[spiral == 1].unique()) == 1
    want = parts_by_scipy(spiral[0].numpy())
    assert (parts[0].numpy() == want).all()


def test_compact_ids__order_and_padding():
    ids = torch.tensor([[[7, 3, -1], [3, 0, 7]], [[-1, -1, -1], [5, 5, 5]]])
    assert compact_ids(ids, 8).tolist() == [
        [[2, 1, -1], [1, 0, 2]], [[-1, -1, -1], [0, 0, 0]]]
    assert (compact_ids(torch.full((2, 3, 3), -1), 4) == -1).all()


def absorb_loop(features, ids, min_area):
    """One image; (C, h, w) and (h, w)."""
    units = features / np.linalg.norm(features, axis=0)
    parts = parts_by_scipy(ids)
    small = {p for p in set(parts.flat) - {-1}
             if (parts == p).sum() < min_area}
    out = np.where(np.isin(parts, list(small)), -2, ids)
    means = {}
    for k in set(out.flat) - {-1, -2}:
        mean = units[:, out == k].mean(1)
        means[k] = mean / np.linalg.norm(mean)
    while True:
        found = {}
        for p in small:
            if out[parts == p][0] != -2:
                continue
            ring = ndimage.binary_dilation(parts == p) & (parts != p)
            around = sorted(set(out[ring]) - {-1, -2})
            if around:
                mean = units[:, parts == p].mean(1)
                found[p] = max(around, key=lambda k: mean @ means[k])
        if not found:
            break
        for p, k in found.items():
            out[parts == p] = k
    return np.where(out == -2, ids, out)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('min_area', [0, 2, 4, 9])
def test_absorb_slivers__equals_loop(seed, min_area):
    g = torch.Generator().manual_seed(seed)
    ids = random_ids(seed)
    features = torch.randn(3, 5, 7, 9, generator=g).double()
    got = absorb_slivers(features, ids, 4, min_area=min_area)
    for i in range(3):
        want = absorb_loop(features[i].numpy(), ids[i].numpy(), min_area)
        assert (got[i].numpy() == want).all()


def test_absorb_slivers__goes_to_the_similar_neighbour():
    ids = torch.tensor([[[0, 0, 1, 2, 2]]])
    features = torch.tensor([[1., 1., .4, 0., 0.], [0., 0., .6, 1., 1.]])
    got = absorb_slivers(features.view(1, 2, 1, 5), ids, 3, min_area=2)
    assert got.tolist() == [[[0, 0, 2, 2, 2]]]


def test_absorb_slivers__nothing_to_go_to():
    ids = torch.tensor([[[0, 1, -1, 2, -1]], [[0, 0, 0, -1, 1]]])
    got = absorb_slivers(torch.ones(2, 1, 1, 5), ids, 3, min_area=2)
    assert torch.equal(got, ids)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('threshold', [-.5, 0., .4])
def test_merge_similar__equals_scipy_linkage(seed, threshold):
    from scipy.cluster.hierarchy import fcluster, linkage
    g = torch.Generator().manual_seed(seed)
    # equal areas, in which scipy's average is the one weighted by area
    ids = torch.arange(8).repeat(2, 2).view(2, 2, 8)
    centers = torch.nn.functional.normalize(torch.randn(
        2, 8, 4, generator=g).double(), dim=2)
    features = centers.transpose(1, 2)[:, :, None].expand(-1, -1, 2, -1)
    got = merge_similar(features, ids, 8, threshold=threshold)
    for i in range(2):
        rows = centers[i].numpy()
        distances = (1 - rows @ rows.T)[np.triu_indices(8, 1)]
        want = fcluster(linkage(distances, 'average'), 1 - threshold,
                        'distance')
        mine = got[i, 0].numpy()
        assert ((mine[:, None] == mine) == (want[:, None] == want)).all()


def test_merge_similar__padding_and_limits():
    ids = torch.tensor([[[0, 3, -1, 0]]])
    features = torch.tensor([[1., 0., 5., 1.], [0., 1., 5., 0.]])
    features[:, 2] = torch.nan
    features = features.view(1, 2, 1, 4)
    apart = merge_similar(features, ids, 4, threshold=1.)
    assert apart.tolist() == [[[0, 1, -1, 0]]]
    joined = merge_similar(features, ids, 4, threshold=-1.)
    assert joined.tolist() == [[[0, 0, -1, 0]]]
    with pytest.raises(ValueError, match='`threshold` must be a cosine'):
        merge_similar(features, ids, 4, threshold=2.)
    with pytest.raises(ValueError, match='`min_area` must be at least 0'):
        absorb_slivers(features, ids, 4, min_area=-1)
