"""Configs and code that the documents offer for copying work as they are."""
import re
from pathlib import Path

import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from test_documents import ROOT, _blocks

from mmpixsort import registry
from mmpixsort.utils.files import write_image

PAGES = ('README.md', 'docs/data.md', 'docs/pixel_contrast.md',
         'docs/segsort.md', 'docs/discriminative.md',
         'docs/panoptic_segsort.md', 'docs/how_to/own_data.md',
         'docs/how_to/few_labels.md')


def _configs():
    """Yield every complete config of the pages."""
    for page in PAGES:
        for index, code in enumerate(_blocks(page)):
            if '_base_ =' in code:
                yield pytest.param(code, id=f'{Path(page).stem}-{index}')


def _read(code, folder):
    path = folder / 'copied.py'
    path.write_text(code)
    return Config.fromfile(path)


def _block(page, text):
    return next(code for code in _blocks(page) if text in code)


@pytest.mark.parametrize('code', _configs())
def test_config__builds_as_it_is_copied(code, tmp_path):
    cfg = _read(code, tmp_path)
    scope = cfg.default_scope
    host = pytest.importorskip(f'{scope}.registry')
    init_default_scope(scope)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader',
                 'optim_wrapper', 'train_cfg', 'test_evaluator'):
        assert cfg.get(name), name
    if 'pretrained' in cfg.model:  # nothing is downloaded
        cfg.model.pretrained = None
    # the detectors make a table of numbers when they are built
    with torch.device('meta' if scope == 'mmseg' else 'cpu'):
        model = host.MODELS.build(cfg.model)
    assert any(True for _ in model.parameters())


def test_own_data__folders_are_read_as_the_page_says(tmp_path):
    page = 'docs/how_to/own_data.md'
    for split in ('train', 'val'):
        for kind in ('img_dir', 'ann_dir'):
            (tmp_path / kind / split).mkdir(parents=True)
        image = torch.randint(0, 255, (60, 80, 3), dtype=torch.uint8).numpy()
        write_image(tmp_path / f'img_dir/{split}/a.jpg', image)
        labels = torch.randint(0, 3, (60, 80), dtype=torch.uint8)
        labels[:10] = 255
        write_image(tmp_path / f'ann_dir/{split}/a.png', labels.numpy())
    cfg = _read(_block(page, 'my_data.py'), tmp_path)
    init_default_scope('mmseg')
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.data_root = str(tmp_path)
        built = DATASETS.build(dataset)
        assert built.metainfo['classes'] == ('ground', 'plant', 'stone')
        sample = built[0]['data_samples']
        values = set(sample.gt_sem_seg.data.unique().tolist())
        # a crop of training may leave out a class
        assert values <= {0, 1, 2, 255}
        assert split == 'train' or values == {0, 1, 2, 255}
    assert cfg.model.decode_head.num_classes == 3


def test_own_loss__trains_in_the_head():
    name = 'ScaledContrast'
    space = {}
    try:
        exec(_block('docs/how_to/own_loss.md', 'class ScaledContrast'), space)
        model = tiny.build(tiny.attached(
            loss=dict(type=f'mmpixsort.{name}', factor=.5))).train()
        losses = model(*tiny.batch(), mode='loss')
        losses['loss_pixel_contrast'].backward()
        assert losses['loss_pixel_contrast'] > 0
    finally:
        registry.MODELS.module_dict.pop(name, None)


def test_own_head__trains_in_the_segmentor():
    name = 'EveryPixelHead'
    space = {}
    try:
        exec(_block('docs/how_to/own_head.md', f'class {name}'), space)
        model = tiny.attached()
        given = model['metric_head']
        model['metric_head'] = dict(
            type=f'mmpixsort.{name}', in_channels=given['in_channels'],
            source=given['source'], num_classes=given['num_classes'])
        losses = tiny.build(model).train()(*tiny.batch(), mode='loss')
        losses['loss_every_pixel'].backward()
        assert losses['loss_every_pixel'] > 0
    finally:
        registry.MODELS.module_dict.pop(name, None)


def test_pages__name_tools_and_configs_that_exist():
    path_of_file = r'(?<![\w/])(?:tools|configs)/[\w/.-]+\.(?:py|sh|yml)\b'
    for path in sorted((ROOT / 'docs').rglob('*.md')):
        named = re.findall(path_of_file, path.read_text())
        missing = [name for name in named if not (ROOT / name).exists()
                   and not re.search('METHOD|NAME|/my_', name)]
        assert missing == [], path
