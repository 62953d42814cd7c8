"""The demonstration's command line, with a run of a few iterations."""
import importlib.util
import json
import math

import pytest

pytest.importorskip('mmseg')


@pytest.fixture(scope='module')
def demo(repo_root):
    spec = importlib.util.spec_from_file_location(
        'run_demo', repo_root / 'demo' / 'run_demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tiny():
    """Settings that make a run small: few small images, short crops."""
    crop = (65, 65)
    options = {
        'model.data_preprocessor.size': crop,
        'train_dataloader.batch_size': 2,
        'default_hooks.logger.interval': 1,
    }
    for split, count in (('train', 4), ('val', 2), ('test', 3)):
        dataset = f'{split}_dataloader.dataset'
        options[f'{dataset}.num_images'] = count
        options[f'{dataset}.size'] = (65, 97)
    options['train_dataloader.dataset.pipeline'] = [
        dict(type='mmpixsort.LoadStreetScene'),
        dict(type='RandomCrop', crop_size=crop),
        dict(type='PackSegInputs')
    ]
    return options


@pytest.mark.parametrize('method', ['pixel-contrast', 'none'])
def test_demo__writes_scores_and_pictures(demo, tmp_path, capsys, method):
    out = tmp_path / 'result'
    demo.main(['--out', str(out), '--iters', '4', '--method', method],
              cfg_options=_tiny())
    scores = json.loads((out / 'scores.json').read_text())
    assert scores['method'] == method and scores['iterations'] == 4
    assert 0 <= scores['mIoU'] <= 100 and len(scores['IoU']) == 11
    table = (out / 'scores.txt').read_text()
    assert 'bicyclist' in table and f'{scores["mIoU"]:.2f}' in table
    kinds = {'panel', 'prediction'}
    if method != 'none':
        kinds.add('embedding')
    names = [path.stem for path in (out / 'pictures').glob('*.png')]
    assert len(names) == 3 * len(kinds)
    assert {name.split('_')[-2] for name in names} == kinds
    assert list(out.glob('iter_4.pth'))
    printed = capsys.readouterr()
    assert str(out.resolve()) in printed.out
    log = next(out.rglob('*.log')).read_text()
    assert 'Iter(train) [4/4]' in log.replace(' ' * 2, ' ')


@pytest.mark.parametrize('name', ['data', 'weights'])
def test_demo__missing_path(demo, tmp_path, name):
    out = tmp_path / 'result'
    with pytest.raises(SystemExit, match=f'--{name}: .*gone not found'):
        demo.main([f'--{name}', str(tmp_path / 'gone'), '--out', str(out)])
    assert not out.exists()


def test_demo__folder_without_camvid(demo, tmp_path):
    with pytest.raises(SystemExit, match='img_dir/train.* not found'):
        demo.main(['--data', str(tmp_path), '--out', str(tmp_path / 'out')])


@pytest.mark.parametrize('arguments', [['--method', 'other'],
                                       ['--iters', 'many']])
def test_demo__bad_option(demo, arguments, capsys):
    with pytest.raises(SystemExit):
        demo.main(arguments)
    assert 'error' in capsys.readouterr().err


def test_demo__help_has_examples(demo, capsys):
    with pytest.raises(SystemExit):
        demo.main(['--help'])
    text = capsys.readouterr().out
    assert 'run_demo.py --data path/to/camvid' in text
    assert 'tools/train.py configs/pixel_contrast/' in text


@pytest.mark.parametrize('name', ['SCENES', 'CAMVID'])
def test_demo_config__scaled_iterations(demo, name):
    from mmpixsort.apis.demo import demo_config
    full = demo_config(getattr(demo, name), None, None, None, 0,
                       'pixel-contrast')
    short = demo_config(getattr(demo, name), None, None, 40, 0,
                        'pixel-contrast')
    assert short.train_cfg.max_iters == 40
    assert all(s.begin < s.end <= 40 for s in short.param_scheduler)
    for cfg in (full, short):
        warmup = cfg.model.metric_head.warmup_iters
        assert warmup <= cfg.train_cfg.max_iters / 5


def test_demo_config__plain_host(demo):
    from mmpixsort.apis.demo import demo_config
    cfg = demo_config(demo.SCENES, None, None, None, 0, 'none')
    assert cfg.model.type == 'EncoderDecoder'
    assert 'metric_head' not in cfg.model
    assert not any('MemoryBank' in h['type'] for h in cfg.custom_hooks)


def test_demo_config__bad_iters(demo):
    from mmpixsort.apis.demo import demo_config
    with pytest.raises(ValueError, match='`iters` must be positive, got 0'):
        demo_config(demo.SCENES, None, None, 0, 0, 'none')


def test_write_scores__class_without_score(tmp_path):
    from mmpixsort.apis.demo import write_scores
    write_scores(tmp_path, {'mIoU': 50., 'IoU.a': 50., 'IoU.b': math.nan},
                 dict(seed=0))
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert scores['IoU'] == dict(a=50., b=None)
