"""The inferencer with words: of a call, of a config, of several threads."""
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import cv2
import numpy as np
import pytest
import tiny_text
import torch
from mmengine.config import Config
from open_clip_shim import assert_same_clip, random_clip, tiny_settings

from mmpixsort.apis.inferencer import PixSortInferencer
from mmpixsort.apis.loading import load_all, named_parts
from mmpixsort.apis.predictions import class_shares
from mmpixsort.registry import MODELS

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


def settings(**options):
    return Config(dict(
        model=tiny_text.config(**options), default_scope='mmseg',
        test_dataloader=dict(dataset=dict(pipeline=PIPELINE))))


def inferencer(**options):
    """Return a function that segments one image by words."""
    torch.manual_seed(0)
    infer = PixSortInferencer(settings(), device='cpu', **options)

    def segment(image, words=None, **others):
        part, = infer(image, words=words, **others)['predictions']
        return part

    return segment


def test_words__of_the_call_and_of_the_config(image):
    segment = inferencer()
    found = segment(image)
    assert found['classes'] == ['background', *tiny_text.NOUNS]
    for name in ('labels', 'scores', 'groups'):
        assert found[name].shape == (40, 60)
    assert found['groups'].max() < 9
    assert sum(class_shares(found).values()) == pytest.approx(1)
    assert (found['scores'] > 0).all() and (found['scores'] <= 1).all()
    found = segment(image, ['dog', 'cat'])
    assert found['classes'] == ['background', 'dog', 'cat']
    again = segment(image)  # those of the last call
    assert again['classes'] == found['classes']
    assert np.array_equal(again['labels'], found['labels'])


def test_words__different_ones_of_several_threads(image):
    segment = inferencer()
    jobs = [['dog', 'cat'], ['cat', 'dog'], ['dog'], tiny_text.NOUNS] * 4
    alone = [segment(image, words) for words in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(partial(segment, image), jobs))
    for one, other in zip(alone, found):
        assert one['classes'] == other['classes']
        assert np.array_equal(one['labels'], other['labels'])
        assert np.array_equal(one['scores'], other['scores'])


def test_words__equal_those_of_the_model(image):
    """The inferencer prepares, names and paints as the model does."""
    found = inferencer()(image, ['cat', 'dog'])
    torch.manual_seed(0)
    model = MODELS.build(settings().model).eval()
    model.set_vocabulary(['cat', 'dog'])
    picture = cv2.resize(cv2.imread(str(image)), (48, 32))
    pixels = torch.from_numpy(picture).permute(2, 0, 1)
    sample = tiny_text.sample(pixels)
    sample.set_metainfo(dict(ori_shape=(40, 60)))
    with torch.no_grad():
        wanted, = model.test_step(dict(
            inputs=[pixels], data_samples=[sample]))
    assert np.array_equal(found['labels'],
                          wanted.pred_sem_seg.data[0].numpy())
    assert np.array_equal(found['groups'],
                          wanted.pred_groups.data[0].numpy())


def test_words__aliases_and_one_word(image):
    found = inferencer()(image, ['pet'], aliases=dict(pet=['cat', 'dog']))
    assert found['classes'] == ['background', 'pet']


@pytest.mark.parametrize('words, error, message', [
    (['zebra'], ValueError, "'zebra'"),
    ([], ValueError, 'classes'),
    (['cat', 'cat'], ValueError, 'twice: cat'),
    ('cat', TypeError, "'cat'"),
])
def test_words__bad_ones(image, words, error, message):
    with pytest.raises(error, match=message):
        inferencer()(image, words)


def test_inferencer__settings_override_the_config(image):
    never = inferencer(cfg_options={'model.decode_head.threshold': 1.1})
    assert class_shares(never(image)) == dict(background=1.)


def test_inferencer__weights_that_the_config_names(tmp_path):
    """Without a checkpoint, the file of `init_cfg` is loaded."""
    clip = random_clip()
    torch.save(clip.state_dict(), tmp_path / 'clip.pth')
    cfg = settings()
    cfg.model.backbone = dict(
        type='mmpixsort.OpenCLIPDual', model_name=tiny_settings(),
        init_cfg=dict(type='Pretrained',
                      checkpoint=str(tmp_path / 'clip.pth')))
    infer = PixSortInferencer(cfg, device='cpu')
    assert_same_clip(infer.model.backbone, clip)


def test_load_all__weights_of_a_named_grouper_may_be_missing():
    model = tiny_text.build()
    state = model.state_dict()
    model.decode_head.grouper.weight = torch.nn.Parameter(torch.zeros(1))
    cfg = settings()
    with pytest.raises(ValueError, match='1 are missing.*grouper'):
        load_all(model, state, 'w.pth', optional=named_parts(cfg))
    cfg.model.decode_head.grouper.feature = dict(
        type='mmpixsort.SSLFeature', name='vit', checkpoint='dino.pth')
    load_all(model, state, 'w.pth', optional=named_parts(cfg))
    cfg.model.decode_head = [dict(type='FCNHead')] * 2
    assert named_parts(cfg) == ()


def test_class_shares__leaves_void_pixels_out():
    labels = np.array([[0, 1], [1, 3]])
    assert class_shares(dict(labels=labels, classes=['a', 'b', 'c'])) == dict(
        b=.5, a=.25)
