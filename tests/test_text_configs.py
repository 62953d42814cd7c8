"""The configs of text grouping: words, parts, a run of each kind."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_text
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from open_clip_shim import require, tiny_settings

from mmpixsort.apis.text_bank import import_matrix
from mmpixsort.apis.tune_background import tune_background
from mmpixsort.text.nouns import read_lexicon
from mmpixsort.registry import MODELS

FOLDER = Path(__file__).resolve().parent.parent / 'configs/text_grouping'
ZERO_SHOT = sorted(FOLDER.glob('*_zs_*.py'))
each_zero_shot = pytest.mark.parametrize(
    'path', ZERO_SHOT, ids=[path.stem for path in ZERO_SHOT])


@each_zero_shot
def test_zero_shot_config__has_the_classes_of_its_data(path):
    init_default_scope('mmseg')
    cfg = Config.fromfile(path)
    head, spec = cfg.model.decode_head, cfg.test_dataloader.dataset
    classes = list((spec.get('metainfo') or DATASETS.get(
        spec.type).METAINFO)['classes'])
    first = [] if head.get('background') is None else ['background']
    assert first + list(head.bank.classes) == classes
    assert set(head.bank.aliases) <= set(classes)


@each_zero_shot
def test_zero_shot_config__builds_and_segments(path):
    require('open_clip')
    require('timm')
    init_default_scope('mmseg')
    model = small_model(Config.fromfile(path))
    result, = model.predict(
        *tiny_text.batch(model, tiny_text.images((64, 96))))
    count = model.decode_head.num_classes
    assert result.seg_logits.data.shape == (count, 64, 96)
    assert result.seg_logits.data.isfinite().all()


def test_captions_config__builds_and_has_both_losses():
    require('open_clip')
    require('timm')
    init_default_scope('mmseg')
    path, = FOLDER.glob('*_captions-224x224.py')
    cfg = Config.fromfile(path)
    model = small_model(cfg).train()
    inputs, samples = tiny_text.captioned(model)
    losses = model(inputs, samples, mode='loss')
    assert losses['loss_n2r'] > 0 and losses['loss_sentence'] > 0
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    clip = model.backbone.clip
    assert clip.visual.proj.grad is not None
    assert clip.token_embedding.weight.grad is None
    assert cfg.train_dataloader.dataset.pipeline[-1].type == (
        'mmpixsort.PackTextInputs')


def small_model(cfg: Config):
    """Build the model with small towers of random weights."""
    torch.manual_seed(0)
    cfg.model.backbone.update(
        model_name=tiny_settings(), pretrained=None, quick_gelu=None)
    feature = cfg.model.decode_head.grouper.feature
    feature.update(
        name='vit_tiny_patch16_224', checkpoint=None, size=(64, 64))
    cfg.model.decode_head.bank.templates = 'none'
    cfg.model.test_cfg.update(crop_size=(64, 64), stride=(32, 32))
    return MODELS.build(cfg.model).eval()


def shapes_config(tmp_path, **head) -> Config:
    path, = FOLDER.glob('*_shapes-64x64.py')
    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = f'shapes_in_a_test {tmp_path}'
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    cfg.train_dataloader.batch_size = 4
    cfg.train_dataloader.dataset.num_images = 8
    cfg.val_dataloader.dataset.num_images = 3
    cfg.model.decode_head.update(head)
    return cfg


@pytest.mark.parametrize('drop_noun', [0., 1.])
def test_shapes_config__trains_and_tests_by_its_runner(tmp_path, drop_noun):
    cfg = shapes_config(
        tmp_path, sentence_loss=dict(type='mmpixsort.ImageSentenceLoss'))
    cfg.train_dataloader.dataset.drop_noun = drop_noun
    runner = Runner.from_cfg(cfg)
    runner.train()
    scores = runner.val_loop.run()
    assert 0 <= scores['mIoU'] <= 100
    assert scores['group_oracle_mIoU'] > scores['mIoU']
    checkpoint = tmp_path / 'iter_2.pth'
    again = shapes_config(tmp_path)
    curve = tune_background(
        again, checkpoint, thresholds=[1., -1., .3], device='cpu')
    assert curve.thresholds == [-1., .3, 1.]
    # all background
    assert curve.mean_ious[2] == pytest.approx(
        100 / 7 * background_share(cfg), abs=.02)
    assert curve.best in curve.thresholds


@pytest.mark.parametrize('test_cfg', [
    dict(mode='whole'),
    dict(mode='slide', crop_size=(40, 40), stride=(24, 24)),
    dict(mode='slide', crop_size=(40, 40), stride=(24, 24),
         group_per_window=True)], ids=['whole', 'slide', 'per_window'])
@pytest.mark.parametrize('padded', [
    dict(size_divisor=1), dict(size=(80, 112)), dict(size_divisor=48)])
def test_tune_background__scores_are_those_of_the_test(tmp_path, test_cfg,
                                                       padded):
    cfg = shapes_config(tmp_path)
    cfg.model.test_cfg = test_cfg
    cfg.model.data_preprocessor.test_cfg = padded
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for parameter in model.backbone.parameters():
        parameter.data += .1 * torch.randn_like(parameter)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'x.pth')
    thresholds = [-.2, 0., .2]
    curve = tune_background(cfg, tmp_path / 'x.pth', thresholds=thresholds)
    for threshold, score in zip(thresholds, curve.mean_ious):
        again = shapes_config(tmp_path, threshold=threshold)
        again.experiment_name += f' {threshold} {test_cfg} {padded}'
        again.model.test_cfg = test_cfg
        again.model.data_preprocessor.test_cfg = padded
        again.val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
        again.load_from = str(tmp_path / 'x.pth')
        runner = Runner.from_cfg(again)
        runner.load_or_resume()
        assert runner.val_loop.run()['mIoU'] == pytest.approx(score, abs=.011)
    assert len(set(curve.mean_ious)) > 1


def background_share(cfg: Config) -> float:
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    labels = torch.cat([
        dataset[i]['data_samples'].gt_sem_seg.data.flatten()
        for i in range(len(dataset))])
    found = len(labels.unique())
    # over classes that occur
    return (labels == 0).float().mean().item() * 7 / found


def test_tune_background__bad_input(tmp_path):
    with pytest.raises(ValueError, match='thresholds'):
        tune_background(shapes_config(tmp_path), None, thresholds=[])
    with pytest.raises(ValueError, match='background'):
        tune_background(shapes_config(tmp_path, background=None), None,
                        thresholds=[.5])
    with pytest.raises(ValueError, match='annotation'):
        cfg = shapes_config(tmp_path)
        cfg.val_dataloader.dataset.pipeline = [
            dict(type='mmpixsort.LoadCaptionedShapes'),
            dict(type='mmpixsort.PackTextInputs')]
        cfg.val_dataloader.dataset.split = 'train'
        tune_background(cfg, None, thresholds=[.5])
    with pytest.raises(FileNotFoundError, match='nowhere'):
        tune_background(shapes_config(tmp_path), 'nowhere.pth',
                        thresholds=[.5])


def photographs(cfg: Config, folder: Path) -> None:
    """Write a text bank, weights, captions, images and masks for a config."""
    rng = np.random.default_rng(0)
    np.save(folder / 'rows.npy', rng.normal(size=(80, 16)).astype('f4'))
    words = cfg.model.decode_head.bank.classes
    (folder / 'names.txt').write_text('\n'.join(words))
    import_matrix(folder / 'rows.npy', folder / 'names.txt').save(
        folder / 'clip_words.npz')
    mobilenet = dict(cfg.model.backbone.backbone, init_cfg=None)
    torch.save(MODELS.build(mobilenet).state_dict(), folder / 'weights.pth')
    nouns = ['cat', 'dog', 'tv']
    lines = [dict(img_path=f'{i}.jpg', caption=f'a {noun}', nouns=[noun])
             for i, noun in enumerate(nouns)]
    (folder / 'nouns.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    for split in ('train', 'val'):
        for kind in ('images', 'coco_object'):
            (folder / kind / split).mkdir(parents=True)
        for i, noun in enumerate(nouns):
            image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
            labels = np.zeros((60, 80), np.uint8)
            labels[:30, 40:] = 1 + words.index(noun)
            cv2.imwrite(str(folder / f'images/{split}/{i}.jpg'), image)
            cv2.imwrite(str(folder / f'coco_object/{split}/{i}.png'), labels)


def test_photographs_config__trains_and_tests_by_its_runner(tmp_path):
    init_default_scope('mmseg')
    path, = FOLDER.glob('*_coco-mini.py')
    cfg = Config.fromfile(path)
    photographs(cfg, tmp_path)
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.data_root = str(tmp_path)
    cfg.model.backbone.text_file = str(tmp_path / 'clip_words.npz')
    for spec in (cfg.model.backbone, cfg.model.decode_head.grouper.feature):
        spec.backbone.init_cfg.checkpoint = str(tmp_path / 'weights.pth')
    cfg.train_dataloader.batch_size = 3
    cfg.train_dataloader.dataset.pipeline[1].scales = [65]
    cfg.train_dataloader.dataset.pipeline[2].crop_size = (65, 65)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    cfg.work_dir = cfg.experiment_name = str(tmp_path / 'run')
    runner = Runner.from_cfg(cfg)
    before = {name: value.clone()
              for name, value in runner.model.state_dict().items()}
    runner.train()
    weights = torch.load(tmp_path / 'weights.pth')
    for name, value in runner.model.state_dict().items():
        own = name.split('backbone.')[-1]
        if own in weights:
            assert torch.equal(value, weights[own])
    moved = runner.model.backbone.projection.weight
    assert not torch.equal(moved, before['backbone.projection.weight'])
    scores = runner.test()
    assert 0 <= scores['region_noun_accuracy'] <= 100
    assert scores['group_oracle_mIoU'] > 0


def test_photographs_lexicon__names_words_of_the_text_bank():
    path, = FOLDER.glob('*_coco-mini.py')
    words = Config.fromfile(path).model.decode_head.bank.classes
    found = read_lexicon(FOLDER / 'coco_nouns.txt')
    # in captions it is a colour
    assert list(found) == [word for word in words if word != 'orange']
