"""Spectral embedding against numpy's Laplacian and planted groups."""
import numpy as np
import pytest
import torch

from mmpixsort.functional.segments.clustering import spherical_kmeans
from mmpixsort.functional.words.spectral import spectral_embedding


def random_map(seed, batch=2, dims=5, size=(4, 5)):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, dims, *size, generator=g).double()


def laplacian(features):
    """Entry by entry, of (P, C)."""
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    count = len(units)
    weights = np.zeros((count, count))
    for i, j in np.ndindex(count, count):
        weights[i, j] = max(units[i] @ units[j], 0)
    out = np.eye(count)
    for i, j in np.ndindex(count, count):
        out[i, j] -= weights[i, j] / np.sqrt(
            weights[i].sum() * weights[j].sum())
    return out


@pytest.mark.parametrize('seed', range(3))
def test_spectral_embedding__equals_numpy(seed):
    features = random_map(seed)
    got = spectral_embedding(features, num_vectors=4)
    for i in range(2):
        rows = features[i].flatten(1).T.numpy()
        values, vectors = np.linalg.eigh(laplacian(rows))
        mine = got[i].flatten(1).numpy()
        # the sign of each is arbitrary
        cosines = (mine * vectors[:, :4].T).sum(1)
        assert np.allclose(np.abs(cosines), 1, atol=1e-9)
        assert np.allclose(laplacian(rows) @ mine.T, mine.T * values[:4])


def test_spectral_embedding__planted_groups():
    # three orthogonal kinds of patches, scattered: no location helps
    g = torch.Generator().manual_seed(0)
    kinds = torch.arange(36) % 3
    features = torch.eye(3).repeat_interleave(2, 1)[kinds]
    features = features * torch.rand(36, 6, generator=g).add(.5)
    vectors = spectral_embedding(features.T.view(1, 6, 6, 6), num_vectors=3)
    start = kinds.clone()
    start[torch.randperm(36, generator=g)[:10]] = 0
    labels = spherical_kmeans(
        vectors, initial_labels=start.view(1, 6, 6), num_clusters=3,
        num_iters=10, frame='none')
    assert torch.equal(labels.flatten(), kinds)


def test_spectral_embedding__what_takes_no_part_changes_nothing():
    features = random_map(0, batch=1)
    valid = torch.ones(1, 4, 5, dtype=torch.bool)
    valid[:, 3] = False
    features[:, :, 3] = torch.nan
    got = spectral_embedding(features, num_vectors=3, valid=valid)
    alone = spectral_embedding(features[:, :, :3], num_vectors=3)
    assert torch.allclose((got[:, :, :3] * alone).sum((2, 3)).abs(),
                          torch.ones(1, 3).double())
    assert (got[:, :, 3] == 0).all()


def test_spectral_embedding__more_vectors_than_patches_and_zeros():
    features = random_map(1, size=(1, 3)).float()
    assert spectral_embedding(features, num_vectors=9).shape == (2, 3, 1, 3)
    features[0, :, 0, 1] = 0
    got = spectral_embedding(features, num_vectors=2)
    assert got.isfinite().all() and (got[0, :, 0, 1] == 0).all()
    assert spectral_embedding(
        features.bfloat16(), num_vectors=2).dtype == torch.float32


@pytest.mark.parametrize('shape, options, error', [
    ((1, 3, 28, 29), dict(num_vectors=2),
     'at most 784 patches .* got 28 x 29 = 812; use smaller images'),
    ((1, 3, 4), dict(num_vectors=2), 'must be a floating tensor of shape'),
    ((1, 3, 4, 4), dict(num_vectors=0), '`num_vectors` must be at least 1'),
])
def test_spectral_embedding__bad_input(shape, options, error):
    with pytest.raises(ValueError, match=error):
        spectral_embedding(torch.rand(shape), **options)
