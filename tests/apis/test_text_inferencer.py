"""Words of a call, of a config, of several threads; pictures."""
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import cv2
import numpy as np
import pytest
import tiny_text
import torch
from mmengine.config import Config

from mmpixsort.apis.text_inferencer import TextGroupInferencer, save_word_map

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(200, 32), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]


@pytest.fixture
def image(tmp_path):
    picture, = tiny_text.images((40, 60))
    path = tmp_path / 'picture.png'
    cv2.imwrite(str(path), picture.permute(1, 2, 0).numpy())
    return path


def inferencer(**options):
    torch.manual_seed(0)
    return TextGroupInferencer(Config(dict(
        model=tiny_text.config(**options), default_scope='mmseg',
        test_dataloader=dict(dataset=dict(pipeline=PIPELINE)))), device='cpu')


def test_inferencer__words_of_the_call_and_of_the_config(image):
    segment = inferencer()
    found = segment(image)
    assert found.classes == ['background', *tiny_text.NOUNS]
    assert found.labels.shape == found.scores.shape == (40, 60)
    assert found.groups.shape == (40, 60) and found.groups.max() < 9
    assert sum(found.shares.values()) == pytest.approx(1)
    assert (found.scores > 0).all() and (found.scores <= 1).all()
    found = segment(image, ['dog', 'cat'])
    assert found.classes == ['background', 'dog', 'cat']
    again = segment(image)  # those of the last call
    assert again.classes == found.classes
    assert np.array_equal(again.labels, found.labels)


def test_inferencer__several_threads_ask_for_different_words(image):
    segment = inferencer()
    jobs = [['dog', 'cat'], ['cat', 'dog'], ['dog'], tiny_text.NOUNS] * 4
    alone = [segment(image, words) for words in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(partial(segment, image), jobs))
    for one, other in zip(alone, found):
        assert one.classes == other.classes
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.scores, other.scores)


def test_inferencer__arrays_and_lists(image):
    segment = inferencer()
    alone = segment(image, ['cat', 'dog'])
    first, second = segment([image, cv2.imread(str(image))])
    for found in (first, second):
        assert np.array_equal(found.labels, alone.labels)


def test_inferencer__aliases_and_one_word(image):
    segment = inferencer()
    found = segment(image, ['pet'], aliases=dict(pet=['cat', 'dog']))
    assert found.classes == ['background', 'pet']


@pytest.mark.parametrize('words, error, message', [
    (['zebra'], ValueError, "'zebra'"),
    ([], ValueError, 'classes'),
    (['cat', 'cat'], ValueError, 'twice: cat'),
    ('cat', TypeError, "'cat'"),
])
def test_inferencer__bad_words(image, words, error, message):
    with pytest.raises(error, match=message):
        inferencer()(image, words)


def test_inferencer__bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.jpg'):
        inferencer()(tmp_path / 'nothing.jpg')
    with pytest.raises(ValueError, match='TextGroupSegmentor'):
        TextGroupInferencer(Config(dict(
            default_scope='mmseg', model=dict(
                type='mmpixsort.TinyDual', vocabulary=['cat']))))


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_save_word_map__writes_a_picture(image, tmp_path, suffix):
    found = inferencer()(image, ['cat', 'dog'])
    path = save_word_map(found, image, tmp_path / 'new' / f'out.{suffix}')
    assert cv2.imread(str(path)).shape == (40, 60, 3)
    with pytest.raises(ValueError, match='.png'):
        save_word_map(found, image, tmp_path / 'out.txt')
