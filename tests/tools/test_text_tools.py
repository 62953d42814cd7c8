import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import tiny_text
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
SHAPES, = (ROOT / 'configs/text_grouping').glob('*_shapes-64x64.py')


def run(tool, *words):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', ROOT / 'tools' / f'{tool}.py',
         *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'})


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    pipeline = [
        dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    Config(dict(
        model=tiny_text.config().to_dict(), default_scope='mmseg',
        test_dataloader=dict(dataset=dict(pipeline=pipeline)))).dump(path)
    return path


def test_infer__writes_a_picture_and_shares_of_words(config, tmp_path):
    picture, = tiny_text.images((40, 60))
    cv2.imwrite(str(tmp_path / 'a.png'), picture.permute(1, 2, 0).numpy())
    done = run('infer', config, tmp_path / 'a.png',
               '--words', 'pet', 'ring', '--alias', 'pet', 'cat', 'dog',
               '--out-dir', tmp_path / 'shown')
    assert done.returncode == 0, done.stderr
    words = cv2.imread(str(tmp_path / 'shown/a_words.png'))
    assert words.shape == (40, 60, 3)
    assert 'a: ' in done.stdout and ' %' in done.stdout
    done = run('infer', config, tmp_path / 'a.png',
               '--words', 'ring', '--out-dir', tmp_path / 'shown',
               '--cfg-options', 'model.decode_head.threshold=1.1')
    assert 'a: background 100.0 %' in done.stdout
    done = run('infer', config, tmp_path / 'a.png', '--words', 'zebra')
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and "'zebra'" in done.stderr


def test_infer__images_of_one_name(config, tmp_path):
    done = run('infer', config, 'a/1.jpg', 'b/1.jpg', '--words', 'pet')
    assert done.returncode == 1 and "'b/1.jpg' would share" in done.stderr


def test_tune_background__prints_the_curve(tmp_path):
    cfg = Config.fromfile(SHAPES)
    cfg.val_dataloader.dataset.num_images = 2
    cfg.dump(tmp_path / 'few.py')
    done = run('tune_background', tmp_path / 'few.py', 'none', '--num', 3,
               '--out', tmp_path / 'curve.json')
    assert done.returncode == 0, done.stderr
    assert 'best' in done.stdout
    assert 'model.decode_head.threshold=' in done.stdout
    assert len(json.loads(
        (tmp_path / 'curve.json').read_text())['mean_ious']) == 3
    done = run('tune_background', tmp_path / 'few.py', 'none', '--num', 1)
    assert done.returncode == 1 and '--num' in done.stderr


@pytest.mark.parametrize('tool', ['infer', 'tune_background'])
def test_help__has_an_example(tool):
    done = run(tool, '--help')
    assert done.returncode == 0
    assert f'python tools/{tool}.py CONFIG' in done.stdout
