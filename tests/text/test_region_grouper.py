"""`RegionGrouper` and `ColorFeature`."""
import pytest
import torch
from torch import nn

from mmpixsort.functional.scores.segments import oracle_labels
from mmpixsort.text.groupers.color_feature import ColorFeature
from mmpixsort.text.groupers.region_grouper import RegionGrouper
from mmpixsort.registry import MODELS

COLOR = dict(type='mmpixsort.ColorFeature', stride=2)


def scenes(seed=0, batch=2, size=(16, 24)):
    """Smooth colours with noise."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 4, 4, generator=g)
    images = nn.functional.interpolate(coarse, size=size, mode='bilinear')
    return images + .1 * torch.randn(images.shape, generator=g)


def make(**options):
    return RegionGrouper(**{**dict(feature=ColorFeature(), grid=(2, 4)),
                            **options})


def same_partition(first, second):
    """Whether two maps (h, w) differ by their numbers alone."""
    pairs = torch.stack([first, second]).flatten(1).unique(dim=1)
    return all(len(row) == len(row.unique()) for row in pairs)


OPTIONS = [
    dict(), dict(method='spectral'), dict(merge_threshold=.9),
    dict(min_area=4), dict(method='spectral', merge_threshold=.8, min_area=3)
]


@pytest.mark.parametrize('options', OPTIONS)
def test_region_grouper__ids_are_contiguous_and_repeatable(options):
    grouper = make(**options)
    ids = grouper(scenes(batch=3))
    assert ids.shape == (3, 8, 12) and ids.dtype == torch.long
    assert grouper.num_regions == 8
    for image in ids:
        numbers = image.unique()
        assert numbers.tolist() == list(range(len(numbers)))
        assert len(numbers) <= 8
    assert torch.equal(ids, make(**options)(scenes(batch=3)))
    for i in range(3):
        assert torch.equal(grouper(scenes(batch=3)[i:i + 1])[0], ids[i])


@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('axis', [2, 3])
def test_region_grouper__flips_with_the_image(options, axis):
    # no patch lies half way between two seeds, so that these are symmetric
    images = scenes(seed=1)
    grouper = make(**options)
    ids, mirrored = grouper(images), grouper(images.flip(axis))
    for i in range(2):
        assert same_partition(ids[i], mirrored[i].flip(axis - 2))


def test_region_grouper__padding():
    images = scenes(batch=1)
    valid = torch.ones(1, 16, 24, dtype=torch.bool)
    valid[:, :, 19:] = False  # half of a patch stays
    padded = images.masked_fill(~valid[:, None], 9.)
    for options in OPTIONS:
        ids = make(**options)(padded, valid)
        assert (ids[:, :, 10:] == -1).all() and (ids[:, :, :10] >= 0).all()
    nothing = make()(images, torch.zeros_like(valid))
    assert (nothing == -1).all()


def test_region_grouper__limits_of_k():
    images = scenes()
    assert (make(grid=1)(images) == 0).all()
    # a region for every patch: whatever the truth, the oracle is right
    each = make(grid=(8, 12))(images)
    assert all(len(image.unique()) == 96 for image in each)
    truth = torch.randint(3, each.shape)
    assert torch.equal(oracle_labels(each, truth, num_classes=3), truth)


def test_region_grouper__finds_two_halves():
    images = torch.zeros(1, 3, 8, 16)
    images[..., 6:] = 2.
    for method in ('kmeans', 'spectral'):
        ids = make(grid=(1, 2), method=method, location_weight=.3)(images)
        assert same_partition(ids[0], (torch.arange(8) >= 3).long().expand(
            4, 8))


def test_region_grouper__options_undo_over_splitting():
    images = scenes(seed=2, batch=4)
    ids = make(grid=4)(images)
    merged = make(grid=4, merge_threshold=.7)(images)
    cleaned = make(grid=4, min_area=6)(images)
    assert merged.amax((1, 2)).sum() < ids.amax((1, 2)).sum()
    for i in range(4):
        # every region is within one merged region
        pairs = torch.stack([ids[i], merged[i]]).flatten(1).unique(dim=1)
        assert len(pairs[0]) == len(pairs[0].unique())
    from mmpixsort.functional.words.region_cleanup import connected_parts
    parts = connected_parts(cleaned)
    assert parts.flatten().unique(return_counts=True)[1].min() >= 6


def test_region_grouper__frozen_and_built_from_a_config():
    grouper = MODELS.build(
        dict(type='mmpixsort.RegionGrouper', feature=COLOR, grid=2))
    assert not grouper.train().training
    grouper = make(feature=nn.Conv2d(3, 4, 3, 2, 1))
    images = scenes().requires_grad_()
    assert not grouper(images).requires_grad
    assert not any(p.requires_grad for p in grouper.parameters())
    assert grouper.state_dict().keys() == {'feature.weight', 'feature.bias'}


@pytest.mark.parametrize('options, error', [
    (dict(method='slic'), '`method` must be one of kmeans, spectral'),
    (dict(grid=0), '`grid` must be at least 1'),
    (dict(merge_threshold=1.5), '`merge_threshold` must be a cosine'),
    (dict(min_area=-1), '`min_area` must be at least 0'),
    (dict(frame='polar'), '`frame` must be one of'),
])
def test_region_grouper__bad_options(options, error):
    with pytest.raises(ValueError, match=error):
        make(**options)


def test_region_grouper__bad_input():
    with pytest.raises(ValueError, match='`valid` must have shape'):
        make()(scenes(), torch.ones(2, 8, 12, dtype=torch.bool))
    with pytest.raises(ValueError, match='at most 784 patches'):
        make(method='spectral')(torch.rand(1, 3, 64, 64))


def test_color_feature__means_of_blocks():
    images = torch.rand(2, 3, 5, 6)
    got = ColorFeature(stride=2, constant=.5)(images)
    assert got.shape == (2, 4, 3, 3) and (got[:, 3] == .5).all()
    assert torch.allclose(got[:, :3, 0, 1], images[:, :, :2, 2:4].mean(
        (2, 3)))
    # the last row of blocks is one pixel high
    assert torch.allclose(got[:, :3, 2, 1], images[:, :, 4:, 2:4].mean(
        (2, 3)))
    assert ColorFeature(constant=0.)(images).shape == (2, 3, 3, 3)
    with pytest.raises(ValueError, match='`stride` must be at least 1'):
        ColorFeature(stride=0)
