"""`functional.spherical_kmeans` against loops and the recorded labels."""
from pathlib import Path

import numpy as np
import pytest
import torch
from dispatch import CallCounter
from references import kmeans_loop, sine_rows
from torch.nn.functional import normalize

from mmpixsort.functional.segments import clustering
from mmpixsort.functional.segments.clustering import (grid_labels, locate,
                                                      pixel_locations,
                                                      spherical_kmeans)

FIXTURES = Path(__file__).parents[2] / 'data' / 'segsort.npz'


def random_map(seed, batch=2, dims=5, size=(6, 7)):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, dims, *size, generator=g).double()


@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('stop_early', [False, True])
def test_spherical_kmeans__recorded_labels(case, stop_early):
    data = np.load(FIXTURES)
    name = f'kmeans{case}'
    maps = torch.from_numpy(data[f'{name}/embedding_nchw'])
    grid = tuple(data[f'{name}/grid'].tolist())
    assert (grid_labels(maps.shape[2:], grid).numpy() ==
            data[f'{name}/initial_labels']).all()
    locations = pixel_locations(maps.shape[2:]).permute(1, 2, 0)
    assert np.allclose(locations, data[f'{name}/location_yx'], atol=1e-6)
    labels = spherical_kmeans(
        maps, grid=grid, num_iters=int(data[f'{name}/iterations']),
        stop_early=stop_early)
    assert (labels[0].numpy() == data[f'{name}/labels']).mean() >= 0.999


def test_spherical_kmeans__fixture_f4():
    start = grid_labels((16, 16), (3, 3))[None]
    labels = spherical_kmeans(
        sine_rows(256, 8).T.view(1, 8, 16, 16), initial_labels=start,
        num_clusters=9, num_iters=10, frame='none').flatten()
    assert labels.bincount().tolist() == [30, 8, 45, 15, 30, 7, 60, 15, 46]
    assert (torch.arange(256) * labels).sum() == 144388


@pytest.mark.parametrize('size, grid, first', [
    ((42, 42), (5, 5), [36, 60, 60, 60, 36]),
    ((32, 48), (6, 6), [20, 30, 30, 30, 30, 20]),
    ((64, 64), (12, 12), [9, 18, 18, 18, 15]),
])
def test_grid_labels__fixture_f2(size, grid, first):
    counts = grid_labels(size, grid).flatten().bincount()
    assert len(counts) == grid[0] * grid[1]
    assert counts[:len(first)].tolist() == first


def test_pixel_locations__fixture_f3():
    locations = pixel_locations((4, 5), frame='unit')
    assert torch.allclose(locations[:, 1, 2], torch.tensor([1 / 3, .5]))
    assert locations[:, -1, -1].tolist() == [1, 1]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('frame', ['centered', 'unit', 'none'])
def test_spherical_kmeans__equals_loop(seed, frame):
    maps = random_map(seed)
    valid = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(
        seed)) > .2
    maps[0, :, 0, 0] = float('nan')  # padding may hold anything
    valid[0, 0, 0] = False
    labels = spherical_kmeans(
        maps, grid=(2, 3), num_iters=4, valid=valid, frame=frame,
        location_weight=.5)
    start = grid_labels((6, 7), (2, 3)).masked_fill(~valid, -1)
    points = locate(maps, frame=frame, weight=.5)
    for i in range(2):
        want = kmeans_loop(points[i].flatten(1).T, start[i].flatten().tolist(),
                           6, 4)
        assert labels[i].flatten().tolist() == want


def test_spherical_kmeans__objective_never_falls():
    maps = random_map(0, batch=1, size=(20, 20))
    points = locate(maps)[0].flatten(1).T
    scores = []
    for num_iters in range(8):
        labels = spherical_kmeans(maps, grid=(3, 3), num_iters=num_iters)
        sums = torch.zeros(9, 7).double().index_add(0, labels.flatten(),
                                                    points)
        scores.append(sums.norm(dim=1).sum().item())
    assert scores == sorted(scores)


def test_spherical_kmeans__fixed_point_is_that_of_more_iterations():
    maps = random_map(1, batch=3, size=(12, 12))
    few = spherical_kmeans(maps, grid=(3, 3), num_iters=100, stop_early=True)
    assert torch.equal(
        few, spherical_kmeans(maps, grid=(3, 3), num_iters=100))


def test_spherical_kmeans__image_does_not_depend_on_its_batch():
    maps = random_map(2, batch=3)
    together = spherical_kmeans(maps, grid=(2, 2), num_iters=5)
    for i in range(3):
        alone = spherical_kmeans(maps[i:i + 1], grid=(2, 2), num_iters=5)
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize('elements', [1, 20, 100])
def test_spherical_kmeans__tiles_change_nothing(elements, monkeypatch):
    maps = random_map(5, batch=3)
    valid = torch.rand(3, 6, 7, generator=torch.manual_seed(0)) > .2
    options = dict(grid=(2, 3), num_iters=4, valid=valid)
    whole = spherical_kmeans(maps, **options)
    monkeypatch.setattr(clustering, 'CPU_ELEMENTS', elements)
    assert torch.equal(spherical_kmeans(maps, **options), whole)


def test_spherical_kmeans__given_locations_and_weight_zero():
    maps = random_map(3)
    own = pixel_locations((6, 7)).expand(2, -1, -1, -1)
    options = dict(grid=(2, 2), num_iters=5)
    assert torch.equal(
        spherical_kmeans(maps, locations=own, **options),
        spherical_kmeans(maps, **options))
    assert torch.equal(
        spherical_kmeans(maps, location_weight=0., **options),
        spherical_kmeans(maps, frame='none', **options))


def test_spherical_kmeans__all_ignored_and_empty_clusters():
    maps = torch.ones(1, 4, 6, 6)
    nothing = spherical_kmeans(
        maps, grid=(2, 2), num_iters=3,
        valid=torch.zeros(1, 6, 6, dtype=torch.bool))
    assert (nothing == -1).all()
    start = torch.zeros(1, 6, 6, dtype=torch.long)
    labels = spherical_kmeans(
        maps, initial_labels=start, num_clusters=5, num_iters=3)
    assert (labels == 0).all()


def test_spherical_kmeans__equal_clusters_leave_pixels_with_the_first():
    maps = torch.ones(1, 3, 2, 4)
    labels = spherical_kmeans(
        maps, grid=(2, 2), num_iters=1, frame='none')
    assert (labels == 0).all()


def test_spherical_kmeans__nan_stays_in_range():
    maps = random_map(4)
    maps[0, :, 2, 3] = torch.nan
    labels = spherical_kmeans(maps, grid=(2, 2), num_iters=3)
    assert labels.min() >= 0 and labels.max() < 4
    clean = spherical_kmeans(maps[1:], grid=(2, 2), num_iters=3)
    assert torch.equal(labels[1:], clean)


def _counted(batch):
    # a CPU takes image by image
    maps = torch.empty(batch, 8, 16, 16, device='meta')
    with CallCounter() as counter:
        spherical_kmeans(
            maps, grid=(4, 4), num_iters=10, valid=torch.ones(
                batch, 16, 16, dtype=torch.bool, device='meta'))
    return counter


def test_spherical_kmeans__calls_do_not_depend_on_the_batch():
    one, many = _counted(1), _counted(7)
    assert one.calls == many.calls
    assert many.syncs == 0, many.counts


@pytest.mark.parametrize('changes, error', [
    (dict(grid=(9, 2)), '`grid` must have at most as many cells'),
    (dict(grid=3), '`grid` must be'),
    (dict(grid=None), 'one of `grid` and `initial_labels`'),
    (dict(frame='polar'), '`frame` must be one of'),
    (dict(location_weight=-1.), '`location_weight`|`weight`'),
    (dict(grid=None, initial_labels=torch.zeros(2, 6, 7).long()),
     '`num_clusters` must be given'),
    (dict(valid=torch.ones(1, 6, 7).bool()), '`valid` must have shape'),
])
def test_spherical_kmeans__bad_input(changes, error):
    with pytest.raises(ValueError, match=error):
        spherical_kmeans(random_map(0),
                         **{**dict(grid=(2, 2), num_iters=2), **changes})


def test_locate__unit_vectors():
    assert torch.allclose(
        locate(random_map(0)).norm(dim=1), torch.ones(2, 6, 7).double())
    assert torch.equal(
        locate(random_map(0), frame='none'), normalize(random_map(0), dim=1))
