"""Panels of pictures and the colouring of class maps and embeddings."""
import numpy as np
import pytest
import torch

from mmpixsort.visualization import (embedding_pictures, paint_labels,
                                     side_by_side)
from mmpixsort.visualization.panels import as_picture


def test_paint_labels__palette_and_unknown():
    labels = np.array([[0, 1], [255, 2], [-1, 900]])
    picture = paint_labels(labels, [(1, 2, 3), (4, 5, 6)])
    assert picture.dtype == np.uint8
    assert picture[0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert not picture[1:].any()


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.int64])
def test_paint_labels__of_any_type(dtype):
    picture = paint_labels(np.array([[1, 255]], dtype), [(1, 2, 3)] * 2)
    assert picture.tolist() == [[[1, 2, 3], [0, 0, 0]]]


def test_paint_labels__large_palette():
    palette = np.arange(300 * 3).reshape(300, 3) % 251 + 1
    found = paint_labels(np.array([[-1, 0, 255, 299, 300]]), palette)
    assert found[0].tolist() == [
        [0, 0, 0], *palette[[0, 255, 299]].tolist(), [0, 0, 0]]


def test_side_by_side__layout():
    one = np.full((10, 12, 3), 7, np.uint8)
    two = np.full((20, 24, 3), 9, np.uint8)
    row = side_by_side([one, two])
    assert row.shape == (10, 28, 3)
    assert (row[:, :12] == 7).all() and (row[:, 16:] == 9).all()
    assert (row[:, 12:16] == 255).all()
    titled = side_by_side([one, two], ['a', 'b'])
    assert np.array_equal(titled[-10:], row)
    assert titled[:-10].min() < 200  # there is text


@pytest.mark.parametrize('pictures, titles, text', [
    ([], None, 'at least one'),
    ([np.zeros((4, 4, 3), np.uint8)], ['a', 'b'], '1 texts.*got 2'),
])
def test_side_by_side__errors(pictures, titles, text):
    with pytest.raises(ValueError, match=text):
        side_by_side(pictures, titles)


def test_embedding_pictures__one_basis_over_sizes():
    small = torch.randn(6, 4, 5)
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    one, two = embedding_pictures([small, large], [(4, 5), (8, 10)])
    assert one.shape == (4, 5, 3) and two.shape == (8, 10, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, two[::2, ::2])
    assert embedding_pictures([], []) == []


def test_paint_labels__without_palette_values_differ():
    picture = paint_labels(np.arange(-1, 20)[None], ())
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 21
    assert (picture[0, 0] == 0).all()


@pytest.mark.parametrize('bands', [1, 2, 3, 4, 7])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_as_picture__of_any_bands(bands, dtype):
    image = (np.arange(bands * 12) % 200).reshape(bands, 3, 4).astype(dtype)
    picture = as_picture(image)
    assert picture.shape == (3, 4, 3) and picture.dtype == np.uint8
    shown = [2, 1, 0] if bands > 2 else [0, 0, 0]  # red is the third band
    assert np.array_equal(picture, image[shown].transpose(1, 2, 0))


@pytest.mark.parametrize('image', [
    np.array([[[0, 1000, 4000]]], np.uint16),
    np.array([[[-1., 0., 3.]]]), np.array([[[0., .25, 1.]]])])
def test_as_picture__scales_other_ranges(image):
    assert as_picture(image)[0, :, 0].tolist() == [0, 64, 255]
    assert (as_picture(np.zeros((1, 2, 2))) == 0).all()
    assert as_picture(np.full((3, 1, 1), np.nan)).max() == 0
