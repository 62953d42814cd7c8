"""PCA colours against numpy's SVD, and their limits."""
import numpy as np
import pytest
import torch

from mmpixsort.functional.pca import pca_rgb


def _slow_pca_rgb(embeddings, low, high):
    """SVD in float64, one component after the other."""
    batch, dims, height, width = embeddings.shape
    rows = embeddings.transpose(0, 2, 3, 1).reshape(-1, dims)
    rows = rows.astype(np.float64)
    rows = rows - rows.mean(0)
    axes = np.linalg.svd(rows, full_matrices=False)[2][:3]
    planes = []
    for axis in axes:
        axis = axis * np.sign(axis[np.abs(axis).argmax()])
        value = rows @ axis
        start, stop = np.quantile(value, [low, high])
        planes.append(((value - start) / (stop - start)).clip(0, 1))
    return np.stack(planes, 1).reshape(batch, height, width,
                                       3).transpose(0, 3, 1, 2)


@pytest.mark.parametrize('seed', [0, 1, 2])
@pytest.mark.parametrize('dims', [3, 16, 200])
def test_pca_rgb__equals_svd(seed, dims):
    rng = np.random.default_rng(seed)
    # distinct variances: equal ones have no unique axes
    scale = np.linspace(3, .1, dims)[:, None, None]
    maps = (rng.standard_normal((2, dims, 9, 11)) * scale + 1)
    maps = maps.astype(np.float32)
    got = pca_rgb(torch.from_numpy(maps), low=.05, high=.9)
    np.testing.assert_allclose(
        got.numpy(), _slow_pca_rgb(maps, .05, .9), atol=2e-4)


def test_pca_rgb__shape_range_and_no_gradient():
    maps = torch.randn(2, 8, 5, 7, requires_grad=True)
    colours = pca_rgb(maps)
    assert colours.shape == (2, 3, 5, 7)
    assert colours.dtype == torch.float32 and not colours.requires_grad
    assert colours.min() == 0 and colours.max() == 1


def test_pca_rgb__sign_is_repeatable():
    torch.manual_seed(0)
    maps = torch.randn(1, 5, 20, 20) * torch.tensor(
        [5., 4, 3, 1, 1]).view(1, 5, 1, 1)
    shuffled = maps.flatten(2)[:, :, torch.randperm(400)].view_as(maps)
    order = pca_rgb(maps).flatten(2).sort().values
    other = pca_rgb(shuffled).flatten(2).sort().values
    torch.testing.assert_close(order, other, atol=1e-4, rtol=0)


def test_pca_rgb__one_basis_for_the_batch():
    maps = torch.randn(1, 6, 8, 8)
    colours = pca_rgb(torch.cat([maps, maps.flip(3)]))
    torch.testing.assert_close(colours[1], colours[0].flip(2))


@pytest.mark.parametrize('value', [0., 1 / 3, 1e4])
def test_pca_rgb__constant_is_grey(value):
    colours = pca_rgb(torch.full((2, 7, 4, 4), value))
    assert torch.equal(colours, torch.full((2, 3, 4, 4), .5))


@pytest.mark.parametrize('dims', [1, 2])
def test_pca_rgb__missing_components_are_grey(dims):
    colours = pca_rgb(torch.randn(1, dims, 6, 6))
    assert colours.isfinite().all()
    assert (colours[:, dims:] == .5).all()
    assert colours[:, :dims].std() > .1


def test_pca_rgb__one_pixel_and_half():
    assert (pca_rgb(torch.randn(1, 4, 1, 1)) == .5).all()
    assert pca_rgb(torch.randn(1, 4, 6, 6).half()).isfinite().all()


def test_pca_rgb__outlier_does_not_dim_the_rest():
    maps = torch.randn(1, 3, 30, 30)
    maps[0, :, 0, 0] = 100.
    rest = pca_rgb(maps)[0, :, 1:]
    assert rest.std() > .15


def test_pca_rgb__not_finite_is_grey():
    maps = torch.randn(1, 4, 5, 5)
    clean = pca_rgb(maps[..., 1:])
    maps[0, 2, :, 0] = float('nan')
    colours = pca_rgb(maps)
    assert (colours[..., 0] == .5).all()
    torch.testing.assert_close(colours[..., 1:], clean)
    assert (pca_rgb(maps * float('nan')) == .5).all()


def test_pca_rgb__few_samples_are_close():
    torch.manual_seed(1)
    maps = torch.randn(1, 4, 64, 64) * torch.tensor(
        [8., 4, 2, .1]).view(1, 4, 1, 1)
    gap = (pca_rgb(maps) - pca_rgb(maps, max_samples=1000)).abs().mean()
    assert gap < .05


@pytest.mark.parametrize('maps, options, text', [
    (torch.zeros(3, 4, 5), {}, r'must be \(B, D, H, W\).*\(3, 4, 5\)'),
    (torch.zeros(1, 0, 4, 4), {}, 'not empty'),
    (torch.zeros(1, 3, 4, 4), dict(low=.9, high=.1), 'got 0.9 and 0.1'),
    (torch.zeros(1, 3, 4, 4), dict(max_samples=0), 'must be positive'),
])
def test_pca_rgb__errors(maps, options, text):
    with pytest.raises(ValueError, match=text):
        pca_rgb(maps, **options)
