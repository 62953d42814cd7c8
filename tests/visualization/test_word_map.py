import numpy as np
import pytest

from mmpixsort.visualization import outline_ids
from mmpixsort.visualization.word_map import (arrange_boxes, draw_words,
                                              word_places)

LABELS = np.zeros((40, 60), int)
LABELS[:, 20:] = 1
LABELS[0, 0] = 2


def test_word_places__inside_the_largest_part():
    labels = LABELS.copy()
    labels[2:6, 2:6] = 1
    (word, (x, y)), = word_places(labels, ['background', 'sky', 'sun'])
    assert word == 'sky' and labels[y, x] == 1 and x >= 20


def test_word_places__middle_of_a_strip():
    labels = np.zeros((41, 61), int)
    labels[:, 58:] = 1
    labels[39:, 10:51] = 2
    places = dict(word_places(labels, ['background', 'sky', 'sun']))
    assert places['sky'] == (59, 20)
    assert abs(places['sun'][0] - 30) <= 1 and places['sun'][1] >= 39


def test_arrange_boxes__inside_and_apart():
    rng = np.random.default_rng(0)
    for _ in range(50):
        centres = rng.uniform(0, 200, (5, 2))
        extents = np.stack(
            [rng.uniform(10, 60, 5), rng.uniform(5, 15, 5)], 1)
        before = centres.copy()
        found = arrange_boxes(centres, extents, (200, 200))
        assert (centres == before).all()
        low, high = found - extents / 2, found + extents / 2
        assert (low >= -1e-9).all() and (high <= 200 + 1e-9).all()
        for i in range(5):
            for j in range(i):
                overlap = np.minimum(high[i], high[j]) - np.maximum(
                    low[i], low[j])
                assert (overlap <= 1e-9).any()


def test_arrange_boxes__no_room():
    centres = np.array([[5., 5.], [6., 5.]])
    found = arrange_boxes(centres, np.full((2, 2), 10.), (10, 10))
    assert found.tolist() == [[5., 5.], [5., 5.]]
    wide, = arrange_boxes(centres[:1], np.array([[30., 4.]]), (10, 10))
    assert wide.tolist() == [15., 5.]


def test_draw_words__words_are_not_cut():
    image = np.full((120, 160, 3), 128, np.uint8)
    labels = np.zeros((120, 160), int)
    labels[40:80, 150:] = 1
    words = ['background', 'refrigerator']
    narrow = draw_words(image, labels, words, alpha=0.)
    wide = draw_words(image, np.full_like(labels, 1), words, alpha=0.)
    # as many pixels of the word, wherever it stands
    count, full = ((drawn != 128).any(2).sum() for drawn in (narrow, wide))
    assert abs(int(count) - int(full)) < .05 * full


def test_draw_words__colours_what_is_named():
    image = np.full((40, 60, 3), 128, np.uint8)
    drawn = draw_words(image, LABELS, ['background', 'Müller', 'sun'])
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert (drawn[10:, :15] == 128).all()
    assert (drawn[:5, 50:] != 128).any(2).all()


def test_draw_words__sizes_must_agree():
    with pytest.raises(ValueError, match='labels'):
        draw_words(np.zeros((3, 4, 3), np.uint8), LABELS, ['a', 'b', 'c'])


def test_outline_ids__lines_between_ids():
    ids = np.zeros((4, 6), int)
    ids[:, 3:] = 1
    picture = outline_ids(np.zeros((8, 12, 3), np.uint8), ids)
    assert picture.shape == (4, 6, 3)
    assert (picture[:, 3] == 255).all()
    assert (np.delete(picture, 3, 1) == 0).all()
