import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpixsort.apis.demo_text import (HELD_OUT, TextRun, run_text_demo,
                                      text_baselines, text_table)

CONFIG, = (Path(__file__).resolve().parents[2] / 'configs' /
           'text_grouping').glob('*_shapes-64x64.py')


@pytest.fixture
def small(tmp_path):
    """Return the path of the config with a few scenes."""
    path = tmp_path / 'small.py'
    cfg = Config.fromfile(CONFIG)
    for split, count in (('train', 8), ('val', 3), ('test', 4)):
        cfg[f'{split}_dataloader'].dataset.num_images = count
    cfg.train_dataloader.batch_size = 4
    cfg.dump(path)
    return path


def test_run_text_demo__writes_scores_and_pictures(small, tmp_path):
    out = tmp_path / 'out'
    runs = run_text_demo(small, out, iters=2)
    assert [run.kind for run in runs] == ['region', 'image']
    assert all(0 <= run.mean_iou <= run.oracle for run in runs)
    found = json.loads((out / 'scores.json').read_text())
    assert found['iterations'] == 2 and len(found['runs']) == 2
    assert 'unseen pairs' in (out / 'scores.txt').read_text()
    assert len(list(out.glob('region_seed0/**/*_panel_*.png'))) >= 4
    # held-out pairs are in the config that was run
    ran = Config.fromfile(out / 'region_seed0' / 'small.py')
    assert len(ran.train_dataloader.dataset.held_out_pairs) == len(HELD_OUT)


@pytest.mark.slow
def test_run_text_demo__regions_beat_whole_images(tmp_path):
    region, image = run_text_demo(CONFIG, tmp_path, iters=1000)
    assert region.mean_iou > 35
    assert region.mean_iou > image.mean_iou + 10


def test_text_baselines__are_those_of_the_scenes():
    cfg = Config.fromfile(CONFIG)
    cfg.test_dataloader.dataset.num_images = 40
    found = text_baselines(cfg)
    assert 1 < found['chance'] < 8 < found['background'] < 14


def test_text_table__has_the_spread_of_seeds():
    runs = [TextRun('region', seed, .5, score, 90., 60., 85.)
            for seed, score in enumerate((70., 74., 78.))]
    table = text_table(runs, dict(chance=3., background=12.), 10)
    assert 'mean  74.00, standard deviation 4.00' in table
