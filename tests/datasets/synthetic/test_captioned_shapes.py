"""Captioned shapes: determinism, what a caption says, held-out pairs."""
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

from mmpixsort.datasets.synthetic.captioned_shapes import (SHAPE_CLASSES,
                                                           SHAPE_NOUNS,
                                                           CaptionedShapes,
                                                           describe)

PAIRS = (('disk', 'bar'), ('ring', 'cross'))


@pytest.fixture(scope='module')
def scenes():
    sequence = CaptionedShapes(300, seed=3)
    return [sequence[index] for index in range(len(sequence))]


def _same(one, other):
    return one[2:] == other[2:] and all(
        np.array_equal(a, b) for a, b in zip(one[:2], other[:2]))


def test_captioned_shapes__types_and_truth(scenes):
    for scene in scenes:
        assert scene.image.shape == (64, 64, 3)
        assert scene.image.dtype == scene.labels.dtype == np.uint8
        assert scene.labels.shape == (64, 64)
        assert 1 <= len(scene.shapes) == len(set(scene.shapes)) <= 3
        shown = {SHAPE_CLASSES[label] for label in np.unique(scene.labels)}
        assert shown == {'background', *scene.shapes}
        assert set(scene.nouns) == set(scene.shapes)
        assert scene.caption == describe(scene.nouns)


def test_captioned_shapes__shapes_are_seen(scenes):
    for scene in scenes:
        counts = np.bincount(scene.labels.ravel(), minlength=7)
        for noun in scene.shapes:
            assert counts[SHAPE_CLASSES.index(noun)] > 30, scene.caption


def test_captioned_shapes__nouns_are_balanced(scenes):
    counts = np.array([
        sum(noun in scene.shapes for scene in scenes)
        for noun in SHAPE_NOUNS])
    assert counts.min() > .7 * counts.max()
    sizes = np.bincount([len(scene.shapes) for scene in scenes])[1:]
    assert sizes.min() > .7 * sizes.max()


def test_captioned_shapes__colour_tells_no_noun(scenes):
    means = {noun: [] for noun in SHAPE_NOUNS}
    for scene in scenes:
        for noun in scene.shapes:
            where = scene.labels == SHAPE_CLASSES.index(noun)
            means[noun].append(scene.image[where].mean(0))
    centres = np.array([np.mean(values, 0) for values in means.values()])
    assert np.ptp(centres, axis=0).max() < 45  # of 255
    assert min(np.std(values, 0).min() for values in means.values()) > 40


def test_captioned_shapes__any_order_and_length():
    short, long = CaptionedShapes(6, seed=1), CaptionedShapes(60, seed=1)
    first = [short[index] for index in range(6)]
    for index in (4, 0, 5):
        assert _same(first[index], long[index])
    assert _same(first[-1], short[-1])


def test_captioned_shapes__another_process():
    code = ('import zlib; from mmpixsort.datasets.synthetic.'
            'captioned_shapes import '
            'CaptionedShapes; s = CaptionedShapes(9, seed=5)[7]; '
            'print([zlib.crc32(part.tobytes()) for part in s[:2]], '
            's.caption)')
    away = subprocess.run([sys.executable, '-c', code], check=True,
                          capture_output=True, text=True, timeout=120)
    scene = CaptionedShapes(9, seed=5)[7]
    here = [zlib.crc32(part.tobytes()) for part in scene[:2]]
    assert away.stdout.strip() == f'{here} {scene.caption}'


@pytest.mark.parametrize('change', [
    dict(seed=1), dict(split='val'), dict(split='test')])
def test_captioned_shapes__seed_and_split_change_it(change):
    base, other = CaptionedShapes(2)[0], CaptionedShapes(2, **change)[0]
    assert not np.array_equal(base.image, other.image)


def test_captioned_shapes__other_sizes():
    scene = CaptionedShapes(1, size=(48, 80))[0]
    assert scene.image.shape == (48, 80, 3) and scene.labels.any()


@pytest.mark.parametrize('drop', [.6, 1.])
def test_drop_noun__changes_captions_alone(drop):
    whole = CaptionedShapes(200, seed=2)
    dropped = CaptionedShapes(200, seed=2, drop_noun=drop)
    named = total = 0
    for one, other in zip(whole, dropped):
        assert np.array_equal(one.image, other.image)
        assert one.shapes == other.shapes
        assert set(other.nouns) <= set(one.shapes)
        # those that are named keep their order
        assert [n for n in one.nouns if n in other.nouns] == list(other.nouns)
        assert other.nouns or other.caption == ''
        named, total = named + len(other.nouns), total + len(one.shapes)
    assert abs(named / total - (1 - drop)) < .07


def _has_pair(scene):
    return any(set(pair) <= set(scene.shapes) for pair in PAIRS)


@pytest.mark.parametrize('split', ['train', 'val', 'test', 'pairs'])
def test_held_out_pairs__only_in_their_split(split):
    sequence = CaptionedShapes(200, split, held_out_pairs=PAIRS)
    found = [_has_pair(scene) for scene in sequence]
    assert all(found) if split == 'pairs' else not any(found)


def test_held_out_pairs__all_of_them_leave_single_shapes():
    pairs = [(a, b) for a in SHAPE_NOUNS for b in SHAPE_NOUNS if a < b]
    sequence = CaptionedShapes(30, held_out_pairs=pairs)
    assert {len(scene.shapes) for scene in sequence} == {1}


@pytest.mark.parametrize('options, error, text', [
    (dict(length=0), ValueError, '`length` must be at least 1'),
    (dict(split='x'), ValueError, '`split` must be one of train'),
    (dict(split='pairs'), ValueError, '`held_out_pairs` must name a pair'),
    (dict(seed=-1), ValueError, '`seed` must be at least 0'),
    (dict(size=(8, 64)), ValueError, '`size` must be at least 32'),
    (dict(size=64), ValueError, r'`size` must be \(height, width\)'),
    (dict(drop_noun=2), ValueError, r'`drop_noun` must be in \[0, 1\]'),
    (dict(held_out_pairs=['disk']), ValueError, 'pairs of two nouns'),
    (dict(held_out_pairs=[('disk', 'disk')]), ValueError, 'pairs of two'),
    (dict(held_out_pairs=[('disk', 'star')]), ValueError, "got 'star'"),
])
def test_captioned_shapes__bad_arguments(options, error, text):
    with pytest.raises(error, match=text):
        CaptionedShapes(**dict(dict(length=1), **options))
    with pytest.raises(IndexError, match='`index` must be in'):
        CaptionedShapes(2)[2]


@pytest.mark.parametrize('nouns, text', [
    ([], ''), (['disk'], 'a disk'),
    (['disk', 'bar'], 'a disk and a bar'),
    (['disk', 'bar', 'ring'], 'a disk, a bar and a ring')])
def test_describe__counts(nouns, text):
    assert describe(nouns) == text


def test_captioned_shapes__is_fast():
    sequence = CaptionedShapes(50)
    sequence[0]
    start = time.process_time()
    for index in range(50):
        sequence[index]
    # measured .7 ms; with room for a busy machine
    assert (time.process_time() - start) / 50 < .002
