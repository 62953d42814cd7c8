"""Scattered sticks: determinism, ids, and what is seen of crossings."""
import subprocess
import sys
import zlib

import numpy as np
import pytest
from scipy import ndimage

from mmpixsort.datasets.synthetic.sticks import (ScatteredSticks, Stick,
                                                 _renumber)

SIZE = (64, 96)


@pytest.fixture(scope='module')
def scenes():
    sequence = ScatteredSticks(20, seed=3, size=SIZE)
    return [sequence[index] for index in range(len(sequence))]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other))


def test_sticks__shapes_and_consecutive_ids(scenes):
    for image, instances in scenes:
        assert image.shape == SIZE + (3, ) and image.dtype == np.uint8
        assert instances.shape == SIZE and instances.dtype == np.int32
        ids = np.unique(instances)
        assert ids.tolist() == list(range(len(ids)))
        assert 1 <= len(ids) - 1 <= 12


def test_sticks__any_order_and_length():
    forward = ScatteredSticks(6, seed=1, size=SIZE)
    longer = ScatteredSticks(60, seed=1, size=SIZE)
    first = [forward[i] for i in range(6)]
    for index in (4, 0, 5):
        assert same(first[index], longer[index])
    assert same(first[-1], forward[-1])
    assert len(list(forward)) == 6


def test_sticks__another_process_and_no_global_state():
    code = ('import zlib; from mmpixsort.datasets.synthetic.sticks import '
            'ScatteredSticks; s = ScatteredSticks(9, seed=5, size=(64, 96))'
            '[7]; print([zlib.crc32(part.tobytes()) for part in s])')
    away = subprocess.run([sys.executable, '-c', code], check=True,
                          capture_output=True, text=True, timeout=120)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    scene = ScatteredSticks(9, seed=5, size=SIZE)[7]
    assert np.array_equal(before, np.random.get_state()[1])
    here = [zlib.crc32(part.tobytes()) for part in scene]
    assert away.stdout.strip() == str(here)


@pytest.mark.parametrize('change', [
    dict(seed=1), dict(split='val'), dict(split='test'), dict(size=(64, 97))
])
def test_sticks__seed_split_and_size_change_it(change):
    base = ScatteredSticks(2, size=SIZE)[0]
    other = ScatteredSticks(2, **{'size': SIZE, **change})[0]
    assert not np.array_equal(base.instances[:, :96],
                              other.instances[:, :96])


def test_sticks__cut_in_two_is_one_instance(scenes):
    cut, parts_on_a_line = 0, 0
    for _, instances in scenes:
        for ident in range(1, instances.max() + 1):
            parts, count = ndimage.label(instances == ident, np.ones((3, 3)))
            sizes = np.bincount(parts.ravel())[1:]
            if (sizes >= 15).sum() < 2:
                continue
            cut += 1
            # all parts lie in the bar that their main axis tells
            points = np.argwhere(parts) - np.argwhere(parts).mean(0)
            spread = np.linalg.svd(points, full_matrices=False)[2][1]
            parts_on_a_line += np.abs(points @ spread).max() < 6
    assert cut > 20
    assert parts_on_a_line == cut


def test_sticks__colour_is_not_identity(scenes):
    # the means of some two sticks of a scene are nearer than the pixels of
    # one lie apart
    close = 0
    for image, instances in scenes:
        ids = range(1, instances.max() + 1)
        means = np.array([image[instances == i].mean(0) for i in ids])
        gaps = np.linalg.norm(means[:, None] - means, axis=2)
        inside = np.mean([
            np.linalg.norm(image[instances == i] - means[i - 1], axis=1)
            .mean() for i in ids])
        close += (gaps[~np.eye(len(gaps), dtype=bool)] < inside).any()
    assert close > len(scenes) / 2


def test_sticks__some_stick_is_brighter_than_the_shadow_beside_it(scenes):
    for image, instances in scenes:
        stick = instances > 0
        ring = ndimage.binary_dilation(stick) & ~stick
        far = ~ndimage.binary_dilation(stick, iterations=6)
        assert image[ring].mean() < image[stick].mean()
        assert image[ring].mean() < image[far].mean() + 25


def test_stick__offsets_equal_rotation():
    angle = .3
    stick = Stick(np.array([2., 5.]),
                  np.array([np.sin(angle), np.cos(angle)]), 3., 1., None)
    along, across = stick.offsets(*np.ogrid[:6, :9])
    for y in range(6):
        for x in range(9):
            turned = (x - 5 + 1j * (y - 2)) * np.exp(-1j * angle)
            assert np.isclose(along[y, x], turned.real)
            assert np.isclose(abs(across[y, x]), abs(turned.imag))


@pytest.mark.parametrize('degrees', range(0, 180, 15))
def test_stick__window_holds_the_bar(degrees):
    angle = np.deg2rad(degrees)
    stick = Stick(np.array([30., 40.]),
                  np.array([np.sin(angle), np.cos(angle)]), 20., 3., None)
    along, across = stick.offsets(*np.ogrid[:64, :96])
    bar = (abs(along) <= 20) & (abs(across) <= 3)
    window = stick.window(SIZE, 0)
    assert bar[window].sum() == bar.sum()
    assert bar[window].size < bar.size


def test_renumber__hidden_stick_and_no_ground():
    owners = np.array([[1, 1], [4, 3]])
    assert _renumber(owners, 5).tolist() == [[1, 1], [3, 2]]


def test_sticks__none_at_all():
    scene = ScatteredSticks(1, size=SIZE, num_sticks=(0, 0))[0]
    assert not scene.instances.any()


@pytest.mark.parametrize('options, error, text', [
    (dict(length=0), ValueError, '`length` must be at least 1'),
    (dict(length=2.), TypeError, '`length` must be an integer'),
    (dict(split='dev'), ValueError, '`split` must be one of'),
    (dict(seed=-1), ValueError, '`seed` must be at least 0'),
    (dict(size=(9, 99)), ValueError, '`size` must be at least 32'),
    (dict(size=99), ValueError, r'`size` must be \(height, width\)'),
    (dict(num_sticks=(3, 2)), ValueError, r'\(least, most\), got \(3, 2\)'),
    (dict(num_sticks=5), ValueError, '`num_sticks`'),
])
def test_sticks__bad_arguments(options, error, text):
    with pytest.raises(error, match=text):
        ScatteredSticks(**{'length': 2, **options})


@pytest.mark.parametrize('index', [3, -4])
def test_sticks__bad_index(index):
    with pytest.raises(IndexError, match='`index`'):
        ScatteredSticks(3)[index]
