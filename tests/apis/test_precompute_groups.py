"""`precompute_groups` and its tool on a small data set of MMSegmentation."""
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmseg')

from mmpixsort.apis.precompute_groups import (  # noqa: E402
    find_grouper, precompute_groups)
from mmpixsort.datasets.group_maps import (  # noqa: E402
    read_group_settings, read_groups)
from mmpixsort.text.groupers.color_feature import ColorFeature  # noqa: E402
from mmpixsort.text.groupers.region_grouper import RegionGrouper  # noqa: E402

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'precompute_groups.py'
MEAN, STD = [120., 110., 100.], [60., 50., 40.]


def make_config(root, **grouper):
    grouper = dict(
        type='mmpixsort.RegionGrouper',
        feature=dict(type='mmpixsort.ColorFeature', stride=2), grid=3,
        **grouper)
    dataset = dict(
        type='BaseSegDataset', data_root=str(root), img_suffix='.png',
        data_prefix=dict(img_path='images'),
        metainfo=dict(classes=('a', 'b')))
    # the annotation is not there: no step but those of the image may run
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 24), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs')
    ]
    return Config(dict(
        default_scope='mmseg',
        model=dict(
            data_preprocessor=dict(
                type='SegDataPreProcessor', mean=MEAN, std=STD,
                bgr_to_rgb=True, size=(512, 512),
                test_cfg=dict(size_divisor=32)),
            decode_head=dict(grouper=grouper)),
        train_dataloader=dict(dataset=dict(
            dataset, pipeline=[dict(type='RandomCrop', crop_size=(8, 8))])),
        test_dataloader=dict(dataset=dict(dataset, pipeline=pipeline))))


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / 'images').mkdir()
    for number in range(5):
        coarse = rng.integers(0, 255, (4, 5, 3), np.uint8)
        image = cv2.resize(coarse, (40 + number, 30))
        cv2.imwrite(str(tmp_path / 'images' / f'{number}.png'), image)
    return tmp_path


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_precompute_groups__equals_the_grouper(root):
    run = precompute_groups(make_config(root), root / 'out')
    assert run[:2] == (5, 0)
    image = cv2.imread(str(root / 'images' / '3.png'))
    image = cv2.resize(image, (int(43 * .8 + .5), 24))
    pixels = (image[..., ::-1] - np.array(MEAN)) / np.array(STD)
    grouper = RegionGrouper(feature=ColorFeature(stride=2), grid=3)
    want = grouper(torch.from_numpy(pixels).float().permute(2, 0, 1)[None])
    assert (read_groups(root / 'out' / '3.png') == want[0].numpy()).all()
    stored = read_group_settings(root / 'out')
    assert stored['hash'] == run.hash
    assert stored['settings']['num_regions'] == 9


def test_precompute_groups__goes_on_where_it_was(root):
    out = root / 'out'
    assert precompute_groups(
        make_config(root), out, max_images=2)[:2] == (2, 0)
    (out / '.3.png.1.tmp').write_text('cut off')
    before = times(out)
    assert precompute_groups(make_config(root), out)[:2] == (3, 2)
    assert before.items() <= times(out).items()
    precompute_groups(make_config(root), root / 'once')
    for number in range(5):
        name = f'{number}.png'
        assert (out / name).read_bytes() == (root / 'once' /
                                             name).read_bytes()
    assert precompute_groups(make_config(root), out)[:2] == (0, 5)


def test_precompute_groups__refuses_other_settings(root):
    precompute_groups(make_config(root), root / 'out', max_images=1)
    with pytest.raises(ValueError, match='different: grouper. Remove'):
        precompute_groups(make_config(root, min_area=3), root / 'out')
    other = make_config(root)
    other.model.data_preprocessor.mean[0] = 0.
    with pytest.raises(ValueError, match='different: data_preprocessor'):
        precompute_groups(other, root / 'out')


def test_precompute_groups__equal_names_are_refused(root):
    (root / 'images' / 'more').mkdir()
    (root / 'images' / '1.png').rename(root / 'images' / 'more' / '2.png')
    with pytest.raises(ValueError, match='names of images must differ'):
        precompute_groups(make_config(root), root / 'out')


def test_precompute_groups__images_of_equal_names_of_an_earlier_run(root):
    cfg = make_config(root)
    precompute_groups(cfg, root / 'out')
    before = times(root / 'out')
    (root / 'val').mkdir()
    other = np.full((30, 40, 3), 9, np.uint8)
    cv2.imwrite(str(root / 'val' / '3.png'), other)
    cfg.val_dataloader = dict(dataset=dict(
        cfg.test_dataloader.dataset, data_prefix=dict(img_path='val')))
    with pytest.raises(ValueError, match='val/3.png.*images/3.png'):
        precompute_groups(cfg, root / 'out', split='val')
    assert times(root / 'out') == before
    run = precompute_groups(cfg, root / 'out_val', split='val')
    assert run[:2] == (1, 0)


def test_precompute_groups__names_what_the_config_lacks(root):
    cfg = make_config(root)
    with pytest.raises(ValueError, match='`split` must be one of'):
        precompute_groups(cfg, root / 'out', split='all')
    cfg.test_dataloader.dataset.pipeline.pop(0)
    with pytest.raises(ValueError, match='must have LoadImageFromFile'):
        precompute_groups(cfg, root / 'out')
    del cfg.model.data_preprocessor
    with pytest.raises(ValueError, match='`model.data_preprocessor`'):
        precompute_groups(cfg, root / 'out')
    assert not (root / 'out').exists()


def test_find_grouper__one_or_named():
    first, second = dict(type='A'), dict(type='B')
    twice = Config(dict(grouper=first, model=dict(heads=[dict(
        grouper=first)])))
    assert find_grouper(twice) == first
    several = Config(dict(grouper=first, model=dict(grouper=second)))
    with pytest.raises(ValueError, match='got 2; give its place'):
        find_grouper(several)
    assert find_grouper(several, 'model.grouper') == second
    with pytest.raises(ValueError, match='one `grouper`, .* got 0'):
        find_grouper(Config(dict(model=dict(grouper=None))))
    for key in ('model.head', 'model.grouper.type', 'model.grouper.type.x'):
        with pytest.raises(ValueError, match='`key` must lead to'):
            find_grouper(several, key)


def _run(*words):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True,
        text=True, check=False)


def test_precompute_groups_tool__writes_and_shows(root):
    make_config(root).dump(root / 'config.py')
    done = _run(root / 'config.py', '--out', root / 'out', '--cfg-options',
                'model.decode_head.grouper.grid=2')
    assert done.returncode == 0, done.stderr
    assert 'written: 5 images' in done.stdout
    assert read_group_settings(root / 'out')['settings']['num_regions'] == 4
    done = _run(root / 'config.py', '--out', root / 'out')
    assert done.returncode != 0 and 'error: ' in done.stderr
    assert 'different: grouper, num_regions' in done.stderr
    assert 'Traceback' not in done.stderr


def test_precompute_groups_tool__help_has_examples():
    done = _run('--help')
    assert 'Example:' in done.stdout and '--max-images' in done.stdout
