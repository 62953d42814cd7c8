"""A run of a study becomes an entry of the zoo."""
import json
from collections import OrderedDict
from datetime import date

import pytest
import torch
import yaml
from mmengine.config import Config
from mmseg.visualization import SegLocalVisualizer

from mmpixsort.apis.study.plan import (Place, read_study, run_config,
                                       training_hash)
from mmpixsort.apis.study.worker import run
from mmpixsort.apis.zoo import entry as entry_module
from mmpixsort.apis.zoo import index, model, place, score
from mmpixsort.apis.zoo.entry import (POINTS, add_entry, half_state,
                                      loss_curve, move_path)
from mmpixsort.apis.zoo.index import read_models
from mmpixsort.apis.zoo.metafile import update_row
from mmpixsort.apis.zoo.model import get_model
from mmpixsort.apis.zoo.score import score_model
from mmpixsort.utils.reading import read_tensors

DAY = date(2024, 2, 3)
STUDY = """
base = '../tiny/host.py'
arms = dict(
    plain=dict(),
    contrast=dict(config='../tiny/contrast.py'),
    longer=dict(options={'train_cfg.max_iters': 14}))
seeds = (0, )
scores = ('mIoU', )
average = dict(last=2, interval=2)
results = '../../docs/results/tiny'
"""
METAFILE = """\
# What this is.
Collections:
- Name: Tiny
  Metadata:
    Task: Semantic Segmentation
Models:
- Name: host
  In Collection: Tiny
  Config: configs/tiny/host.py
  Metadata:
    Training Data: blocks
    State: not trained
- Name: contrast
  In Collection: Tiny
  Config: configs/tiny/contrast.py
  Metadata:
    Training Data: blocks
    State: not trained
"""
VISUALIZER = """
visualizer = dict(
    type='SegLocalVisualizer', name='visualizer',
    vis_backends=[dict(type='LocalVisBackend')])
"""
PAGE = '# Zoo\n\n<!-- zoo: * -->\n<!-- end of zoo -->\n'


@pytest.fixture
def root(folder, monkeypatch):
    """A checkout with two configs, a study of them, and an empty zoo."""
    files = {
        'configs/tiny/host.py':
        (folder / 'host.py').read_text() + VISUALIZER,
        'configs/tiny/contrast.py': (folder / 'contrast.py').read_text(),
        'configs/tiny/metafile.yml': METAFILE,
        'configs/tiny/README.md': PAGE,
        'configs/studies/tiny.py': STUDY,
        'model-index.yml': 'Import:\n  - configs/tiny/metafile.yml\n',
        'model_zoo/README.md': PAGE.replace('zoo: *', 'terms of the zoo: *'),
        'model_zoo/terms.yml': 'initial weights: none\nblocks: no terms\n',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.delenv('MMPIXSORT_ZOO', raising=False)
    # a process has one visualizer of a name, which writes to the folder of
    # the first run; that may be one of another test
    monkeypatch.setattr(SegLocalVisualizer, '_instance_dict', OrderedDict())
    for module in (entry_module, index, model, place, score):
        monkeypatch.setattr(module, 'zoo_root', lambda: folder)
    return folder


def finished_run(root, arm='contrast'):
    """Do a run, and return its work directory."""
    study = read_study(root / 'configs/studies/tiny.py')
    run(study, study.arms[arm], 0, Place())
    cfg = run_config(study, study.arms[arm], 0)
    return root / f'work_dirs/studies/tiny/{arm}_seed0_{training_hash(cfg)}'


def test_add__makes_an_entry_that_scores_what_it_says(root):
    folder = finished_run(root)
    added = add_entry(folder, day=DAY)
    assert read_models(root)['contrast'] == added
    assert (added.state, added.seed) == ('trained', 0)
    name = f'contrast_20240203-{added.weights.sha256[:8]}'
    assert sorted(p.name for p in (root / 'model_zoo').iterdir()) == [
        'README.md', f'{name}.json', f'{name}.pth', 'terms.yml']
    saved = read_tensors(root / added.weights.address, 'weights')
    assert set(saved['state_dict']) == {
        key for key in read_tensors(folder / 'weights.pth', 'x')['state_dict']
        if not key.startswith('metric_head.bank.')}
    assert any(key.startswith('metric_head.') for key in saved['state_dict'])
    assert score_model('contrast')['mIoU'] == added.scores['mIoU']
    log = json.loads((root / added.log).read_text())
    assert log['data'] == dict(name='blocks', terms='no terms')
    assert log['tests']['test']['first']['images'] == 8
    assert [point[0] for point in log['loss']][-1] == 12
    built = get_model('contrast')
    assert len(built.dataset_meta['classes']) == 4
    assert added.name in (root / 'configs/tiny/README.md').read_text()
    assert 'no terms' in (root / 'model_zoo/README.md').read_text()
    text = (root / 'configs/tiny/metafile.yml').read_text()
    assert text.startswith('# What this is.\nCollections:\n')
    # the entry of a later day replaces it, and nothing is left of it
    again = add_entry(folder, day=DAY.replace(day=4))
    assert again.weights.sha256 == added.weights.sha256
    assert len(list((root / 'model_zoo').iterdir())) == 4


def test_add__takes_the_result_from_the_checkout_of_the_run(root):
    folder = finished_run(root)
    result = root / 'docs/results/tiny/contrast_seed0.json'
    other = root / 'other'
    (other / 'docs/results/tiny').mkdir(parents=True)
    (root / 'work_dirs').rename(other / 'work_dirs')
    result.rename(other / result.relative_to(root))
    add_entry(other / folder.relative_to(root), day=DAY)
    assert result.is_file()


def test_add__refuses_what_is_not_the_config(root):
    with pytest.raises(ValueError, match='work directory of a run'):
        add_entry(root)
    folder = root / 'work_dirs/studies/tiny'
    with pytest.raises(ValueError, match="must have the arm 'none'"):
        add_entry(folder / f'none_seed0_{"0" * 12}')
    with pytest.raises(ValueError, match='overrides.*max_iters'):
        add_entry(folder / f'longer_seed0_{"0" * 12}')
    with pytest.raises(ValueError, match='config has changed'):
        add_entry(folder / f'contrast_seed0_{"0" * 12}')
    study = read_study(root / 'configs/studies/tiny.py')
    trained = training_hash(run_config(study, study.arms['contrast'], 0))
    with pytest.raises(FileNotFoundError, match='not finished'):
        add_entry(folder / f'contrast_seed0_{trained}')


def test_half_state__keeps_what_does_not_fit_and_refuses_nan():
    state = dict(
        a=torch.full((2, 2), .1), count=torch.tensor(3),
        running_var=torch.tensor([1., 1e5]),
        threshold=torch.tensor(.123456), bank=torch.zeros(3))
    half = half_state(state, {'bank'})
    assert set(half) == {'a', 'count', 'running_var', 'threshold'}
    assert torch.equal(half['running_var'], state['running_var'])
    assert half['a'].dtype == torch.float16
    assert half['threshold'] == state['threshold']
    assert half['count'].dtype == torch.int64
    with pytest.raises(ValueError, match='`a` must be finite'):
        half_state(dict(a=torch.full((2, ), torch.nan)), set())


def test_loss_curve__is_thinned_and_ends_with_the_last(tmp_path):
    folder = tmp_path / '2024' / 'vis_data'
    folder.mkdir(parents=True)
    rows = [dict(iter=i, loss=1 / i) for i in range(1, 101)]
    (folder / 'scalars.json').write_text(
        '\n'.join(map(json.dumps, [*rows, dict(mIoU=3, step=100)])))
    curve = loss_curve(tmp_path)
    assert len(curve) <= POINTS
    assert curve[-1] == (100, .01)


def test_move_path__is_below_the_folder_of_the_config():
    here, there = Config(dict(data_root='/a/b')), Config(dict(data_root='d/'))
    assert move_path('/a/b/x/1.jpg', here, there) == 'd/x/1.jpg'
    assert move_path('scene 3', Config(dict()), Config(dict())) == 'scene 3'


def test_update_row__names_a_row_that_is_missing(tmp_path):
    path = tmp_path / 'metafile.yml'
    path.write_text(METAFILE)
    with pytest.raises(ValueError, match="must have a row named 'x'"):
        update_row(path, 'x', metadata={}, task='', data='', metrics={},
                   weights='', log='')
    assert yaml.safe_load(path.read_text())
