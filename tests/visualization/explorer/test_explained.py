"""Content of explorer pages, and their layers."""
import base64
import json

import cv2
import numpy as np
import pytest
from visualization.explorer.explained_images import NASTY, small_image

from mmpixsort.visualization.explorer.explained import (data_uri, page_content,
                                                        runs_of_ids)
from mmpixsort.visualization.explorer.layers import (confidence_layer,
                                                     segment_lines, shrink)


def decoded(uri):
    data = base64.b64decode(uri.split(',', 1)[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize('seed', range(3))
def test_runs__give_back_the_ids(seed):
    ids = np.random.default_rng(seed).integers(0, 3, (7, 11))
    runs = runs_of_ids(ids)
    back = np.repeat(runs[1::2], runs[::2]).reshape(7, 11)
    assert (back == ids).all()
    assert (np.diff(runs[1::2]) != 0).all()


def test_data_uri__png_keeps_every_value():
    picture = np.random.default_rng(0).integers(
        0, 256, (5, 6, 4)).astype(np.uint8)
    assert (decoded(data_uri(picture, '.png'))[..., [2, 1, 0, 3]]
            == picture).all()


def test_page_content__is_json_that_keeps_what_it_was_given():
    content = json.loads(json.dumps(page_content(small_image(NASTY))))
    assert content['name'] == NASTY
    assert (content['width'], content['height']) == (60, 40)
    assert content['labels'] == [0, 1, 0, 2]
    first = content['segments'][0]
    assert first['share'] == .25 and first['confidence'] == 1.
    assert [near['row'] for near in first['near']] == [7, 9]
    assert set(content['crops']) == {'7', '9'}
    assert content['classes'][1] == dict(name='sky', colour=[0, 0, 255])


def test_page_content__a_large_image_is_shown_smaller(monkeypatch):
    monkeypatch.setattr(
        'mmpixsort.visualization.explorer.explained.MAX_SIDE', 30)
    content = page_content(small_image())
    assert (content['width'], content['height']) == (30, 20)
    assert sum(content['runs'][::2]) == 600
    for uri in content['pictures'].values():
        assert decoded(uri).shape[:2] == (20, 30)


def test_shrink__nearest_mixes_no_ids():
    ids = np.random.default_rng(0).integers(0, 9, (50, 30)) * 100
    small = shrink(ids, 20, nearest=True)
    assert small.shape == (20, 12) and set(small.flat) <= set(ids.flat)
    assert shrink(ids, 50) is ids


def test_segment_lines__lie_between_two_ids_only():
    ids = np.array([[0, 0, 1], [0, 0, 1]])
    lines = segment_lines(ids)
    assert (lines[:, 2] == 255).all() and not lines[:, :2].any()


def test_confidence_layer__goes_from_blue_to_yellow():
    low, high = confidence_layer(np.array([[0, 1]]), np.array([0., 1.]))[0]
    assert low[2] > low[1] and high[0] > high[2] and high[1] > high[2]
