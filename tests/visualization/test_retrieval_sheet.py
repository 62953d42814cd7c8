"""Crops and sheets of retrieved segments."""
import numpy as np
import pytest

from mmpixsort.visualization.retrieval_sheet import (LINE, OUTLINE, RING, TILE,
                                                     Crop, Row, crop_segment,
                                                     page, sheet)

MASK = np.zeros((60, 80), bool)
MASK[28:33, 38:43] = True
WIDE = np.zeros_like(MASK)
WIDE[10:50, 20:60] = True


def image():
    return np.full((60, 80, 3), 90, np.uint8)


def share(picture, colour):
    return (picture == colour).all(2).mean()


def test_crop_segment__a_ring_widens_the_view():
    near = crop_segment(image(), MASK)
    far = crop_segment(image(), MASK, ring=WIDE & ~MASK, tile=100)
    assert near.shape == (TILE, TILE, 3) and far.shape == (100, 100, 3)
    assert share(near, OUTLINE) > 2 * share(far, OUTLINE) > 0
    assert share(near, RING) == 0 and share(far, RING) > .01


def row(tile=TILE, source='a.png'):
    picture = np.zeros((tile, tile, 3), np.uint8)
    return Row(Crop(picture, 'car', 'x', source),
               [Crop(picture, 'car', '.9', source)])


@pytest.mark.parametrize('tile', [TILE, 64])
def test_sheet__names_sources_on_a_third_line(tile):
    plain, named = sheet([row(tile)]), sheet([row(tile)], sources=True)
    assert plain.shape == (tile + 8 + LINE, 2 * (tile + 8) + 12, 3)
    assert named.shape[0] == plain.shape[0] + 15
    height = tile + LINE - 4
    assert np.array_equal(plain[:height], named[:height])
    assert named[tile + LINE:].min() < 128


def test_sheet__without_rows():
    with pytest.raises(ValueError, match='at least one segment'):
        sheet([])


def test_page__escapes_its_caption():
    text = page([row()], title='a<b', overview=[], caption='x & y')
    assert 'x &amp; y' in text and 'a&lt;b' in text
    assert 'segments nearest to it' in page([row()], title='t', overview=[])
