import numpy as np
import pytest

from mmpixsort.visualization import outline_ids
from mmpixsort.visualization.word_map import draw_words, word_places

LABELS = np.zeros((40, 60), int)
LABELS[:, 20:] = 1
LABELS[0, 0] = 2


def test_word_places__inside_the_largest_part():
    labels = LABELS.copy()
    labels[2:6, 2:6] = 1
    (word, (x, y)), = word_places(labels, ['background', 'sky', 'sun'])
    assert word == 'sky' and labels[y, x] == 1 and x >= 20


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
