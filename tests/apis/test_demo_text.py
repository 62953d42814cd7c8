import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmpixsort.apis.demo_text import (HELD_OUT, TextRun, run_text_demo,
                                      text_baselines, text_table)
from mmpixsort.datasets.synthetic.captioned_shapes import (SHAPE_PALETTE,
                                                           CaptionedShapes)

CONFIG, = (Path(__file__).resolve().parents[2] / 'configs' /
           'text_grouping').glob('*_shapes-64x64.py')


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    """Run a demonstration that takes seconds; return its folder and rows.

    The scenes are few and flat, and a colour tells the noun, which 60 steps
    are enough to learn: the form of a shape takes a thousand.
    """
    folder = tmp_path_factory.mktemp('demo')
    cfg = Config.fromfile(CONFIG)
    for split, count in (('train', 64), ('val', 12), ('test', 12)):
        cfg[f'{split}_dataloader'].dataset.update(
            num_images=count, size=(32, 32))
    cfg.train_dataloader.batch_size = 8
    cfg.optim_wrapper.optimizer.lr = 1e-2
    cfg.dump(folder / 'small.py')
    palette, shaded = np.uint8(SHAPE_PALETTE), CaptionedShapes.__getitem__

    def flat(scenes, index):
        scene = shaded(scenes, index)
        return scene._replace(image=palette[scene.labels])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CaptionedShapes, '__getitem__', flat)
        runs = run_text_demo(folder / 'small.py', folder / 'out', iters=60)
    return folder / 'out', runs


def test_run_text_demo__writes_scores_and_pictures(demo):
    out, runs = demo
    assert [run.kind for run in runs] == ['region', 'image']
    assert all(0 <= run.mean_iou <= run.oracle for run in runs)
    found = json.loads((out / 'scores.json').read_text())
    assert found['iterations'] == 60 and len(found['runs']) == 2
    assert 'unseen pairs' in (out / 'scores.txt').read_text()
    assert len(list(out.glob('region_seed0/**/*_panel_*.png'))) >= 4
    # held-out pairs are in the config that was run
    ran = Config.fromfile(out / 'region_seed0' / 'small.py')
    assert len(ran.train_dataloader.dataset.held_out_pairs) == len(HELD_OUT)


def test_run_text_demo__learns_from_captions_what_regions_are(demo):
    """The fast form of the slow test below."""
    region, image = demo[1]
    assert region.mean_iou > 60 and region.accuracy > 80
    assert region.mean_iou > image.mean_iou + 15


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
