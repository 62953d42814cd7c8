"""`functional.partition_regions` against a loop over regions."""
import pytest
import torch
from dispatch import CallCounter
from references import kmeans_loop
from torch.nn.functional import normalize

from mmpixsort.functional.segments import partition
from mmpixsort.functional.segments.partition import (partition_regions,
                                                     region_grids)


def random_case(seed, batch=2, dims=4, size=(9, 11), num=4):
    g = torch.Generator().manual_seed(seed)
    maps = torch.randn(batch, dims, *size, generator=g).double()
    coarse = torch.randint(-1, num, (batch, 3, 4), generator=g)
    regions = coarse.repeat_interleave(3, 1).repeat_interleave(3, 2)
    return maps, regions[:, :, :size[1]]


OPTIONS = dict(num_regions=4, cell_area=6., max_clusters=5)


def points_of(embedding, inside, unit, weight):
    """Located rows of a region, from the middle of its box."""
    rows = []
    y, x = inside.nonzero(as_tuple=True)
    middle = [(side.min() + side.max()) / 2 for side in (y, x)]
    for i, j in zip(y.tolist(), x.tolist()):
        place = torch.stack([i - middle[0], j - middle[1]]) * weight / unit
        rows.append(normalize(torch.cat([
            normalize(embedding[:, i, j], dim=0), place.double()]), dim=0))
    return torch.stack(rows)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('block, similarities', [(64, 1 << 23), (4, 30)])
def test_partition__equals_a_loop_over_regions(seed, block, similarities,
                                               monkeypatch):
    monkeypatch.setattr(partition, 'BLOCK', block)
    monkeypatch.setattr(partition, 'MAX_SIMILARITIES', similarities)
    maps, regions = random_case(seed)
    places = dict(location_unit=8., location_weight=.7)
    start = partition_regions(maps, regions, num_iters=0, **OPTIONS)
    found = partition_regions(maps, regions, num_iters=4, **OPTIONS, **places)
    for b in range(2):
        for r in range(4):
            inside = regions[b] == r
            if not inside.any():
                continue
            first = start[b][inside]
            used = sorted(set(first.tolist()))  # an empty one never wins
            table = {k: i for i, k in enumerate(used)}
            want = kmeans_loop(
                points_of(maps[b], inside, 8., .7),
                [table[k] for k in first.tolist()], len(used), 4)
            assert [table[k] for k in found[b][inside].tolist()] == want
    assert ((found >= 0) == (regions >= 0)).all()


def test_partition__neither_place_nor_size_of_the_map_matters():
    maps, _ = random_case(0)
    regions = torch.full((2, 9, 11), -1)
    regions[:, 2:8, 3:9] = 0
    options = dict(OPTIONS, num_iters=4, num_regions=1)
    found = partition_regions(maps, regions, **options)
    crop = partition_regions(
        maps[:, :, 2:8, 3:9], regions[:, 2:8, 3:9], **options)
    assert torch.equal(found[:, 2:8, 3:9], crop)


def test_partition__memory_does_not_grow_with_clusters_times_pixels():
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.untyped_storage().nbytes() // 4)
            return out

    maps, regions = torch.randn(1, 16, 64, 64), torch.arange(64) // 8
    regions = (regions[:, None] * 8 + regions)[None]
    with Largest():
        partition_regions(maps, regions, num_regions=64, cell_area=2.,
                          max_clusters=32, num_iters=2)
    assert largest < 4 * 64 * 64 * 32  # a gather took 16 times as much


@pytest.mark.parametrize('seed', range(5))
def test_grids__boxes_and_counts(seed):
    _, regions = random_case(seed)
    slots = regions.masked_fill(regions < 0, 4)
    grids = region_grids(slots, 4, 6., 5)
    for b in range(2):
        for r in range(4):
            y, x = (regions[b] == r).nonzero(as_tuple=True)
            got = [int(part[b, r]) for part in (*grids.boxes, *grids[1:])]
            if not len(y):
                assert got[4:] == [1, 1]
                continue
            assert got[:4] == [y.min(), x.min(), y.max() - y.min() + 1,
                               x.max() - x.min() + 1]
            count = min(5, max(1, round(len(y) / 6)))
            assert 1 <= got[4] * got[5] <= count
            assert got[4] * got[5] > count / 2


def test_partition__small_regions_stay_whole():
    regions = torch.zeros(1, 8, 16).long()
    regions[0, :2, :2] = 1
    found = partition_regions(
        torch.randn(1, 3, 8, 16), regions, num_regions=2, cell_area=10.,
        max_clusters=6, num_iters=3)
    assert (found[regions == 1] == 0).all()
    assert len(found[regions == 0].unique()) == 6


def test_partition__ignored_may_be_nan_and_nothing_is_fine():
    maps, regions = random_case(0)
    want = partition_regions(maps, regions, num_iters=3, **OPTIONS)
    maps = maps.masked_fill((regions < 0)[:, None], torch.nan)
    assert torch.equal(
        partition_regions(maps, regions, num_iters=3, **OPTIONS), want)
    nothing = torch.full_like(regions, -1)
    assert (partition_regions(maps, nothing, num_iters=3, **OPTIONS)
            == -1).all()


def test_partition__calls_do_not_depend_on_the_batch_and_do_not_wait():
    def counted(batch):
        maps, regions = random_case(0, batch=batch)
        with CallCounter() as counter:
            partition_regions(maps, regions, num_iters=3, **OPTIONS)
        return counter
    one, many = counted(1), counted(5)
    assert one.calls == many.calls and many.syncs == 0, many.counts


@pytest.mark.parametrize('changes, error', [
    (dict(num_regions=0), '`num_regions` must'),
    (dict(cell_area=0.), '`cell_area` must'),
    (dict(max_clusters=0), '`max_clusters` must'),
    (dict(num_iters=-1), '`num_iters` must'),
    (dict(location_unit=0.), '`location_unit` must'),
    (dict(regions=torch.zeros(2, 9, 9).long()), '`regions` must have')])
def test_partition__bad_input(changes, error):
    maps, regions = random_case(0)
    arguments = {**dict(embeddings=maps, regions=regions, num_iters=1),
                 **OPTIONS, **changes}
    with pytest.raises(ValueError, match=error):
        partition_regions(**arguments)
