"""Cluster backends: maps, sub-sampling, hygiene, the optional package."""
import builtins

import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.functional.instances.clusters import Clusters
from mmpixsort.layers import cluster_backends
from mmpixsort.layers.cluster_backends import (ClusterBackend,
                                               MeanShiftBackend,
                                               SklearnBackend)
from mmpixsort.registry import MODELS

CONFIGS = [
    dict(type='mmpixsort.MeanShiftBackend'),
    dict(type='mmpixsort.SklearnBackend', method='hdbscan'),
    dict(type='mmpixsort.SklearnBackend', method='meanshift'),
    dict(type='mmpixsort.SklearnBackend', method='dbscan', eps=.6),
]
NAMES = ['ours', 'hdbscan', 'meanshift', 'dbscan']


def build(config, **changes):
    if 'Sklearn' in config['type']:
        pytest.importorskip('sklearn')
    return MODELS.build({**config, **changes})


def scene(size=(30, 40), num_instances=4, dims=4, outliers=0.):
    """Vertical bands of one instance each, a row of background above.

    Returns embeddings (D, H, W), mask (H, W), instances (H, W) where 0 is
    background or scattered.
    """
    g = torch.Generator().manual_seed(0)
    height, width = size
    truth = torch.arange(width) * num_instances // width + 1
    truth = truth.repeat(height, 1)
    centers = 4 * torch.eye(max(dims, num_instances))[:, :dims]
    noise = normalize(torch.randn(height, width, dims, generator=g), dim=2)
    noise *= .45 * torch.rand(height, width, 1, generator=g)
    maps = centers[truth - 1] + noise
    scattered = torch.rand(size, generator=g) < outliers
    maps[scattered] = 80 * torch.randn(height, width, dims,
                                       generator=g)[scattered]
    mask = torch.ones(size, dtype=torch.bool)
    mask[0] = False
    return maps.permute(2, 0, 1), mask, truth.masked_fill(
        scattered | ~mask, 0)


def score(a, b):
    metrics = pytest.importorskip('sklearn.metrics')
    return metrics.adjusted_rand_score(a.flatten(), b.flatten())


@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__instances_of_a_map(config):
    embeddings, mask, truth = scene()
    instances = build(config)(embeddings, mask)
    assert instances.shape == mask.shape and instances.dtype == torch.int32
    assert (instances[~mask] == 0).all()
    assert instances.unique().tolist() == [0, 1, 2, 3, 4]
    assert score(instances, truth) == 1


@pytest.mark.parametrize('max_points', [None, 600])
@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__outliers(config, max_points):
    embeddings, mask, truth = scene((40, 50), outliers=.05)
    backend = build(config, max_points=max_points)
    backend.max_distance = 1.5
    instances = backend(embeddings, mask)
    assert instances.unique().tolist() == [0, 1, 2, 3, 4]
    assert score(instances, truth) >= .999


@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__one_instance(config):
    embeddings, mask, truth = scene(num_instances=1)
    assert torch.equal(build(config)(embeddings, mask), truth.int())


@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__sub_sample_gives_the_same_partition(config):
    embeddings, mask, _ = scene((40, 60))
    whole = build(config, max_points=None)(embeddings, mask)
    backend = build(config, max_points=500)
    state = torch.get_rng_state()
    part = backend(embeddings, mask)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(part, whole)
    assert torch.equal(backend(embeddings, mask), part)


@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__empty_mask_and_one_pixel(config):
    embeddings, mask, _ = scene()
    nothing = torch.zeros_like(mask)
    backend = build(config)
    assert (backend(embeddings, nothing) == 0).all()
    labels, centers = backend.cluster(torch.empty(0, 4))
    assert labels.shape == (0, ) and centers.shape == (0, 4)
    one = nothing.clone()
    one[3, 4] = True
    assert (backend(embeddings, one) == 0).all()  # below min_pixels
    for max_points in (None, 1):
        backend = build(config, min_pixels=1, max_points=max_points)
        instances = backend(embeddings, one)
        finds = config.get('method') != 'hdbscan'  # of two and more
        assert instances.sum() == finds


@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__not_finite_is_noise(config):
    embeddings, mask, truth = scene()
    embeddings[1, 4, 5] = torch.nan
    embeddings[0, 9, 9] = torch.inf
    instances = build(config)(embeddings, mask)
    assert instances[4, 5] == instances[9, 9] == 0
    truth[4, 5] = truth[9, 9] = 0
    assert score(instances, truth) == 1


@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__low_precision_and_gradient(config):
    embeddings, mask, truth = scene()
    embeddings = embeddings.bfloat16().requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        instances = build(config)(embeddings, mask)
        clusters = build(config).cluster(embeddings[:, mask].T)
    assert score(instances, truth) == 1
    assert clusters.centers.shape == (4, 4)
    assert clusters.centers.dtype == torch.float32
    assert not clusters.centers.requires_grad


@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__centres_are_in_the_order_of_the_labels(config):
    embeddings, mask, truth = scene((30, 43))
    rows = embeddings[:, mask].T
    labels, centers = build(config).cluster(rows)
    sizes = labels.bincount()[1:].tolist()
    assert sizes == sorted(sizes, reverse=True)
    for k, center in enumerate(centers, 1):
        assert torch.allclose(center, rows[labels == k].mean(0), atol=1e-5)


def cells(side, count, dims=8):
    """Squares of `side` pixels, `count` a row and a column, far apart."""
    g = torch.Generator().manual_seed(1)
    rows = torch.arange(side * count) // side
    truth = rows[:, None] * count + rows
    centers = 10 * torch.randn(count**2, dims, generator=g)
    noise = normalize(torch.randn(*truth.shape, dims, generator=g), dim=2)
    noise *= .45 * torch.rand(*truth.shape, 1, generator=g)
    return (centers[truth] + noise).permute(2, 0, 1), truth


def pairs(instances, truth):
    return len(torch.stack([instances.long().flatten(),
                            truth.flatten()]).unique(dim=1).T)


@pytest.mark.parametrize('side, count', [(12, 20), (4, 12)])
@pytest.mark.parametrize('config', CONFIGS, ids=NAMES)
def test_backend__all_of_many_small_instances(config, side, count):
    # 57600 pixels and 400 cells of 144, of which a sixth is drawn; then
    # cells of 16 pixels, all of them drawn
    embeddings, truth = cells(side, count)
    instances = build(config)(embeddings, torch.ones_like(truth).bool())
    assert instances.min() == 1 and instances.max() == count**2
    assert pairs(instances, truth) == count**2


def test_hdbscan__numbers_are_of_the_image():
    pytest.importorskip('sklearn')
    embeddings, truth = cells(12, 4)
    mask = torch.ones_like(truth).bool()
    for size in (144, 145):
        for changes in (dict(), dict(min_samples=60)):
            instances = SklearnBackend(min_cluster_size=size, **changes)(
                embeddings, mask)
            assert instances.max() == (16 if size == 144 else 0)
    # a draw of a sixth holds 15 and more of each cell, and never 60
    instances = SklearnBackend(min_cluster_size=60, max_points=384)(
        embeddings, mask)
    assert instances.max() == 16 == pairs(instances, truth)


def _lumps(gap):
    """Two dense lumps that lie `gap` apart, and a third far away."""
    g = torch.Generator().manual_seed(0)
    places = torch.tensor([[0., 0.], [gap, 0.], [50., 0.]])
    return torch.cat([
        place + .05 * torch.randn(100, 2, generator=g) for place in places])


@pytest.mark.parametrize('gap, epsilon, count', [
    (.8, 1., 2), (.8, 0., 3), (2., 1., 3), (2., 3., 2), (2., 100., 1)])
def test_hdbscan__nearer_than_epsilon_is_one(gap, epsilon, count):
    pytest.importorskip('sklearn')
    backend = SklearnBackend(cluster_selection_epsilon=epsilon)
    labels, _ = backend.cluster(_lumps(gap))
    assert len(labels.unique()) == count + (labels == 0).any()
    assert (labels == 0).float().mean() < .3  # without epsilon some are
    assert epsilon == 0. or (labels > 0).all()


def test_hdbscan__nothing_but_noise():
    pytest.importorskip('sklearn')
    places = 10. * torch.arange(30.)[:, None]
    backend = SklearnBackend(min_pixels=20)
    assert (backend.cluster(places).labels == 0).all()


class Parity(ClusterBackend):
    """By the first number of a point: 1, 2, or noise below zero."""

    def cluster_points(self, points, min_pixels, share):
        self.seen = len(points), min_pixels, share
        labels = torch.where(points[:, 0] < 0, 0, points[:, 0].long() % 2 + 1)
        centers = torch.tensor([[10.], [11.]])
        return Clusters(labels, centers)


def test_backend__hygiene_and_share_of_the_sub_sample():
    rows = torch.tensor([10.] * 3 + [11.] * 8 + [-1.] * 5)[:, None]
    backend = Parity(min_pixels=4, max_points=None)
    labels, centers = backend.cluster(rows)
    assert labels.tolist() == [0] * 3 + [1] * 8 + [0] * 5
    assert centers.tolist() == [[11.]] and backend.seen == (16, 4, 1)
    backend = Parity(min_pixels=4, max_points=8)
    backend.cluster(rows)
    assert backend.seen == (8, 2, .5)
    backend = Parity(min_pixels=4, max_points=1)
    backend.cluster(rows)
    assert backend.seen == (1, 1, 1 / 16)


def test_backend__others_get_the_nearest_centre():
    rows = torch.tensor([10.] * 30 + [11.] * 20 + [10.4] * 30)[:, None]
    options = dict(min_pixels=1, max_points=1)
    labels, _ = Parity(**options).cluster(rows)
    assert labels.tolist() == [1] * 30 + [2] * 20 + [1] * 30
    labels, _ = Parity(max_distance=.3, **options).cluster(rows)
    assert labels.tolist()[:50] == [1] * 30 + [2] * 20
    # but for the one that was clustered, if it is of these
    assert (labels[50:] == 0).sum() >= 29


def test_mean_shift__reassign():
    embeddings, mask, _ = scene((40, 50), outliers=.05)
    for max_points in (None, 600):
        backend = MeanShiftBackend(reassign='nearest', max_points=max_points)
        assert torch.equal(backend(embeddings, mask) > 0, mask)


def test_mean_shift__max_instances():
    embeddings, mask, _ = scene()
    assert MeanShiftBackend(max_instances=2)(embeddings, mask).max() == 2


def test_mean_shift__says_once_what_was_cut(monkeypatch):
    told = []
    monkeypatch.setattr(cluster_backends, 'print_log',
                        lambda text, *where: told.append(text))
    embeddings, mask, truth = scene()
    backend = MeanShiftBackend()
    assert score(backend(embeddings, mask), truth) == 1 and not told
    cloud = torch.randn(
        8, 30, 40, generator=torch.Generator().manual_seed(0))
    backend = MeanShiftBackend(max_visits=10**6)
    for _ in range(2):
        assert backend(cloud, mask).shape == mask.shape
    assert len(told) == 1 and 'stopped at `max_visits` 1000000' in told[0]
    whole = MeanShiftBackend(max_visits=None)
    assert whole(cloud, mask).shape == mask.shape and len(told) == 1


def test_sklearn__missing(monkeypatch):
    backend = SklearnBackend()  # a config builds without it
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name.split('.')[0] == 'sklearn':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', fake)
    with pytest.raises(ImportError, match=r'mmpixsort\[instances\]'):
        backend.cluster(torch.zeros(100, 2))
    labels, _ = MeanShiftBackend().cluster(torch.zeros(100, 2))
    assert (labels == 1).all()


@pytest.mark.parametrize('backend, options, kind, error', [
    (MeanShiftBackend, dict(bandwidth=0.), ValueError, '`bandwidth` must be'),
    (MeanShiftBackend, dict(reassign='x'), ValueError, '`reassign` must be'),
    (MeanShiftBackend, dict(num_seeds=0), ValueError, '`num_seeds` must be'),
    (MeanShiftBackend, dict(min_purity=1.), ValueError, '`min_purity` must'),
    (MeanShiftBackend, dict(min_pixels=0), ValueError, '`min_pixels` must'),
    (MeanShiftBackend, dict(max_points=0), ValueError, '`max_points` must'),
    (SklearnBackend, dict(method='kmeans'), ValueError, '`method` must be'),
    (SklearnBackend, dict(min_cluster_size=1), ValueError,
     '`min_cluster_size` must be at least 2'),
    (SklearnBackend, dict(cluster_selection_epsilon=-1.), ValueError,
     '`cluster_selection_epsilon` must not be negative'),
    (SklearnBackend, dict(min_samples=0), ValueError, '`min_samples` must'),
    (SklearnBackend, dict(bandwidth='1'), TypeError, '`bandwidth` must be'),
    (SklearnBackend, dict(eps=0.), ValueError, '`eps` must be positive'),
    (SklearnBackend, dict(max_distance=0.), ValueError, '`max_distance`'),
])
def test_backend__bad_option(backend, options, kind, error):
    with pytest.raises(kind, match=error):
        backend(**options)


@pytest.mark.parametrize('embeddings, mask, kind, error', [
    (torch.zeros(1, 4, 5, 6), torch.ones(5, 6).bool(), ValueError,
     r'`embeddings` must be a floating tensor of shape \(D, H, W\)'),
    (torch.zeros(4, 5, 6).long(), torch.ones(5, 6).bool(), ValueError,
     '`embeddings` must be a floating tensor'),
    (torch.zeros(4, 5, 6), torch.ones(5, 6), TypeError, '`mask` must be bool'),
    (torch.zeros(4, 5, 6), torch.ones(6, 5).bool(), ValueError,
     r'`mask` must have shape \(5, 6\)'),
])
def test_backend__bad_map(embeddings, mask, kind, error):
    with pytest.raises(kind, match=error):
        MeanShiftBackend()(embeddings, mask)


def test_backend__is_abstract():
    with pytest.raises(TypeError, match='abstract'):
        ClusterBackend(min_pixels=1, max_points=None)
