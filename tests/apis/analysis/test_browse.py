"""Pictures of images with their annotation."""
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmpixsort.apis.analysis.anchors import Anchors, AnchorSource
from mmpixsort.apis.analysis.browse import browse_dataset
from mmpixsort.apis.analysis.random_batch import random_batch
from mmpixsort.apis.analysis.views import draw_anchors
from mmpixsort.functional.random import keyed_generator

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / 'configs'
STREET = ('pixel_contrast/pixel-contrast_fcn-mnv2_1xb4-600it_street-scenes.py')
PANOPTIC = ('panoptic_segsort/'
            'panoptic-segsort_fpn-mnv2_1xb4-600it_street-scenes.py')
SHAPES = ('text_grouping/'
          'textgroup_tiny-rgbxy-km16_1xb32-3k_shapes-64x64.py')
GAP = 4  # between two views


def read(name, size=None):
    cfg = Config.fromfile(CONFIGS / name)
    if size is not None:
        cfg.train_dataloader.dataset.size = size
        for step in cfg.train_dataloader.dataset.pipeline:
            if step.type == 'RandomCrop':
                step.crop_size = (64, 64)
        cfg.model.data_preprocessor.size = (64, 64)
    return cfg


def num_views(picture, width):
    return (picture.shape[1] + GAP) // (width + GAP)


def test_browse__labels_and_anchors_of_a_segmentor(tmp_path):
    cfg = read(STREET, (64, 96))
    cfg.train_dataloader.batch_size = 2
    paths = browse_dataset(cfg, tmp_path, num_images=3, start=1)
    assert [path.name[:6] for path in paths] == ['00001_', '00002_', '00003_']
    picture = cv2.imread(str(paths[0]))
    assert num_views(picture, 384) == 3  # 64 pixels, six times as large
    paths = browse_dataset(cfg, tmp_path, num_images=1, views=['labels'])
    assert num_views(cv2.imread(str(paths[0])), 64) == 1


def test_browse__instances_of_a_detector(tmp_path):
    path, = browse_dataset(read(PANOPTIC, (64, 96)), tmp_path, num_images=1,
                           views=['image', 'labels', 'instances'])
    assert num_views(cv2.imread(str(path)), 384) == 3


def test_browse__captions_and_nouns_are_below(tmp_path):
    cfg = read(SHAPES)
    np.random.seed(0)  # the pipeline flips images at random
    path, = browse_dataset(cfg, tmp_path / 'a', num_images=1)
    np.random.seed(0)
    plain, = browse_dataset(cfg, tmp_path / 'b', num_images=1,
                            views=['image'])
    with_text, without = (cv2.imread(str(p)) for p in (path, plain))
    strip = with_text[len(without):]
    assert np.array_equal(with_text[:len(without)], without)
    assert len(strip) > 20 and strip.min() < 100 < strip.max()


def test_browse__errors(tmp_path):
    plain = read('plain/plain_fcn-mnv2_1xb4-600it_street-scenes.py')
    for options, message in (
            (dict(views=['anchors']), 'has none: leave the view `anchors`'),
            (dict(views=['depth']), '`views` must be one of image'),
            (dict(split='all'), '`split` must be one of train'),
            (dict(start=256), r'`start` must lie in \[0, 256\)'),
            (dict(num_images=0), '`num_images` must be at least 1')):
        with pytest.raises(ValueError, match=message):
            browse_dataset(plain, tmp_path, **options)
    plain.pop('val_dataloader')
    with pytest.raises(ValueError, match='needs `val_dataloader`'):
        browse_dataset(plain, tmp_path, split='val')
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Weights of the model of the street scenes, from a seed."""
    cfg = read(STREET)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    from mmpixsort.registry import MODELS
    model = MODELS.build(cfg.model)
    path = tmp_path_factory.mktemp('weights') / 'x.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def test_anchors__are_those_that_the_head_draws(checkpoint):
    cfg = read(STREET)
    init_default_scope('mmseg')
    source = AnchorSource(cfg, str(checkpoint))
    batch = random_batch(cfg, source.model, size=(64, 64), num_images=2)
    seen = []
    model = source.model
    pick = model.metric_head.sampler.pick
    model.metric_head.sampler.pick = lambda *args: seen.append(
        pick(*args)) or seen[-1]
    model.metric_head.warmup_iters = 0
    model.metric_head.clock.tick = lambda: (0, 7)
    model(batch.inputs, batch.data_samples, mode='loss')
    found = source.draw(batch.inputs, batch.data_samples, iteration=7)
    assert len(seen) == 2
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert sum(len(one.labels) for one in found) == (seen[0][1] >= 0).sum()
    for image, one in enumerate(found):
        assert one.hard.any()
        # a place lies on a pixel of its class
        x, y = (one.places.T * 64).long()
        labels = batch.data_samples[image].gt_sem_seg.data[0]
        assert torch.equal(labels[y // 4 * 4, x // 4 * 4], one.labels)


def test_anchors__without_weights_none_is_hard():
    cfg = read(STREET)
    init_default_scope('mmseg')
    source = AnchorSource(cfg)
    batch = random_batch(cfg, source.model, size=(64, 64), num_images=2)
    found = source.draw(batch.inputs, batch.data_samples)
    assert all(len(one.labels) and not one.hard.any() for one in found)
    labels = source.head.labels_on((16, 16), batch.data_samples)
    _, want = source.head.sampler.pick(
        labels, None, keyed_generator(0, 0, 0, labels.device))
    assert torch.equal(torch.cat([one.labels for one in found]).sort()[0],
                       want[want >= 0].sort()[0])


def test_draw_anchors__hard_ones_have_a_white_border():
    anchors = Anchors(torch.tensor([[.25, .5], [.75, .5]]),
                      torch.tensor([0, 1]), torch.tensor([True, False]))
    picture = draw_anchors(np.zeros((40, 80, 3), np.uint8), anchors,
                           [[255, 0, 0], [0, 0, 255]])
    assert picture[20, 20].tolist() == [255, 0, 0]
    assert picture[20, 60].tolist() == [0, 0, 255]
    white = (picture == 255).all(2)
    assert white[:, :40].any() and not white[:, 40:].any()


def test_tool__from_the_command_line(tmp_path, monkeypatch, capsys):
    tool = str(ROOT / 'tools/analysis_tools/browse_dataset.py')
    monkeypatch.setattr(sys, 'argv', [
        tool, str(CONFIGS / PANOPTIC), '--out', str(tmp_path / 'shown'),
        '--num-images', '1', '--split', 'val'])
    runpy.run_path(tool, run_name='__main__')
    assert '1 pictures in' in capsys.readouterr().out
    assert len(list((tmp_path / 'shown').iterdir())) == 1
