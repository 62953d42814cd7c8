"""The study of captions, shortened: regions learn words, images do not."""
import json
from pathlib import Path

import numpy as np
import pytest

from mmpixsort.apis.study.plan import Place, read_study
from mmpixsort.apis.study.worker import run
from mmpixsort.datasets.synthetic.captioned_shapes import (SHAPE_PALETTE,
                                                           CaptionedShapes)

STUDY = (Path(__file__).resolve().parents[3] /
         'configs/studies/shapes_captions.py')


def short(study, results):
    """Return the study with few small scenes and 60 iterations."""
    options = dict(study.options)
    for split, count in (('train', 64), ('val', 12), ('test', 12)):
        options[f'{split}_dataloader.dataset.num_images'] = count
        options[f'{split}_dataloader.dataset.size'] = (32, 32)
    options.update({
        'train_dataloader.batch_size': 8,
        'optim_wrapper.optimizer.lr': 1e-2,
        'train_cfg.max_iters': 60,
        'param_scheduler': [
            dict(type='LinearLR', start_factor=.04, end=6, by_epoch=False),
            dict(type='CosineAnnealingLR', eta_min=1e-6, begin=6, end=60,
                 by_epoch=False)]})
    return study._replace(options=options, results=results)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """Run both arms in seconds; return the folder and the tests of each.

    The scenes are few and flat, and a colour tells the noun, which 60 steps
    are enough to learn: the form of a shape takes a thousand.
    """
    folder = tmp_path_factory.mktemp('study')
    study = short(read_study(STUDY), folder / 'results')
    palette, shaded = np.uint8(SHAPE_PALETTE), CaptionedShapes.__getitem__

    def flat(scenes, index):
        scene = shaded(scenes, index)
        return scene._replace(image=palette[scene.labels])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CaptionedShapes, '__getitem__', flat)
        patch.chdir(folder)
        for arm in study.arms.values():
            run(study, arm, 0, Place())
    found = [json.loads((study.results / f'{name}_seed0.json').read_text())
             for name in ('nouns', 'sentences')]
    return folder, [{name: test['scores'] for name, test in
                     one['tests'].items()} for one in found]


def test_study__learns_from_captions_what_regions_are(results):
    nouns, sentences = (tests['test'] for tests in results[1])
    assert nouns['mIoU'] > 60 and nouns['region_noun_accuracy'] > 80
    assert nouns['mIoU'] > sentences['mIoU'] + 15


def test_study__scores_pairs_that_training_never_showed(results):
    for tests in results[1]:
        assert list(tests) == ['test', 'pairs']
        assert tests['pairs']['mIoU'] != tests['test']['mIoU']
        # the threshold is that of the validation scenes, not of the test
        assert tests['pairs']['threshold'] == tests['test']['threshold']
        for scores in tests.values():
            assert 0 <= scores['mIoU'] <= scores['group_oracle_mIoU']


def test_study__writes_pictures_of_each_test(results):
    for name in ('test', 'pairs'):
        found = list(results[0].glob(
            f'work_dirs/studies/*/nouns_*/test_{name}/**/*_panel_*.png'))
        assert len(found) == 12
