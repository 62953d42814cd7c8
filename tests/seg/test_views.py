"""Training from regions of several views of an image."""
import pytest
import tiny
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.runner import Runner
from mmengine.structures import PixelData
from references import segment_sorting_loop

from mmpixsort.registry import MODELS
from mmpixsort.seg.datasets import ViewsSampler


def head(num_views=2, **changes):
    return MODELS.build(tiny.sorting_head(
        in_channels=4, source=0, segments='oversegmentation',
        num_views=num_views, projection=dict(
            type='mmpixsort.ProjectionHead', linear=True), **changes))


def view(ids, index=0):
    sample = tiny.sample(torch.full((1, 8, 8), 255), index)
    sample.gt_overseg = PixelData(data=ids[None])
    return sample


def region_maps(count):
    """Quarters of 8 x 8 pixels; padding and one region of its own."""
    quarters = torch.arange(4).view(2, 2).repeat_interleave(4, 0)
    maps = quarters.repeat_interleave(4, 1).repeat(count, 1, 1)
    maps[0, :2] = -1
    maps[-1, 5:] = 70000
    return maps


@pytest.mark.parametrize('num_views', [1, 2, 4])
def test_loss__equals_the_definition(num_views):
    torch.manual_seed(0)
    module, feature, maps = head(num_views), torch.randn(4, 4, 8, 8), (
        region_maps(4))
    loss = module.loss([feature], [
        view(ids, i // num_views) for i, ids in enumerate(maps)])
    embeddings = module.embed([feature]).detach().double()
    pixels = [(b, y, x) for b in range(4) for y in range(8)
              for x in range(8) if maps[b, y, x] >= 0]
    names = sorted({(b, int(maps[b, y, x])) for b, y, x in pixels})
    own = [names.index((b, int(maps[b, y, x]))) for b, y, x in pixels]
    rows = torch.stack([embeddings[b, :, y, x] for b, y, x in pixels])
    sums = torch.zeros(len(names), rows.shape[1]).double()
    sums.index_add_(0, torch.tensor(own), rows)
    labels = [b // num_views * 100000 + region for b, region in names]
    want, _ = segment_sorting_loop(
        rows, [labels[key] for key in own],
        torch.nn.functional.normalize(sums, dim=1), labels, own_key=own,
        concentration=10., positives='same_class')
    assert loss['segsort_segments'] == len(names)
    assert loss['loss_segsort'].item() == pytest.approx(
        sum(want) / len(want), rel=1e-4)


@pytest.mark.parametrize('indices, error', [
    ((0, 0, 1), 'must divide the batch size .* 2 views for 3 images'),
    ((0, 1, 1, 0), "'image_0', 'image_1'.*mmpixsort.ViewsSampler"),
])
def test_loss__batch_without_its_views(indices, error):
    samples = [view(ids, i) for ids, i in zip(
        region_maps(len(indices)), indices)]
    with pytest.raises(ValueError, match=error):
        head().loss([torch.randn(len(samples), 4, 8, 8)], samples)


@pytest.mark.parametrize('options, error', [
    (dict(num_views=0), '`num_views` must be at least 1'),
    (dict(num_views=2, segments='clusters'), '`num_views` must be 1 unless'),
])
def test_head__bad_views(options, error):
    with pytest.raises(ValueError, match=error):
        MODELS.build(tiny.sorting_head(**options))


@pytest.mark.parametrize('num_views', [1, 3])
def test_sampler__repeats_the_order_of_the_host(monkeypatch, num_views):
    """On two ranks; all views of an image are drawn by one of them."""
    for rank in range(2):
        monkeypatch.setitem(InfiniteSampler.__init__.__globals__,
                            'get_dist_info', lambda: (rank, 2))
        plain = iter(InfiniteSampler(range(5), seed=3))
        views = iter(ViewsSampler(range(5), num_views=num_views, seed=3))
        for _ in range(12):
            index = next(plain)
            assert [next(views) for _ in range(num_views)] == (
                [index] * num_views)
    with pytest.raises(ValueError, match='`num_views` must be at least 1'):
        ViewsSampler(range(5), num_views=0)


def test_sampler__fills_batches_with_views():
    loader = Runner.build_dataloader(dict(
        batch_size=4, num_workers=0, dataset=tiny.NoisyBlocks(),
        sampler=dict(type='mmpixsort.ViewsSampler', num_views=2)), seed=0)
    for _, batch in zip(range(3), loader):
        paths = [item.img_path for item in batch['data_samples']]
        assert paths[::2] == paths[1::2] and paths[0] != paths[2]
