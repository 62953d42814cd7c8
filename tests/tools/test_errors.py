"""Every tool ends in `error: ...` for a wrong path, and warns aloud."""
import ast
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from mmpixsort.compat import quiet_hosts
from mmpixsort.utils.cli import check_checkpoint
from mmpixsort.utils.command import errors_as_text
from mmpixsort.utils.configs import read_config

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted([*(ROOT / 'tools').rglob('*.py'),
                   *(ROOT / 'demo').glob('*.py'),
                   *(ROOT / 'mmpixsort').rglob('*.py')])
CONFIG = str(ROOT / 'configs/plain/plain_fcn-mnv2_1xb4-600it_street-scenes.py')
NONE = 'no_such_file'
WRONG = [
    ('analysis_tools/benchmark.py', f'{NONE}.py'),
    ('analysis_tools/browse_dataset.py', f'{NONE}.py'),
    ('analysis_tools/browse_dataset.py', CONFIG, '--checkpoint', NONE),
    ('analysis_tools/embedding_projector.py', NONE, 'x.png'),
    ('analysis_tools/get_flops.py', f'{NONE}.py'),
    ('attach.py', f'{NONE}.py'),
    ('bank.py', 'info', NONE),
    ('bank.py', 'merge', NONE, NONE, '--out', 'x.bank'),
    ('bank.py', 'serve', NONE, f'{NONE}.py', NONE, '--image', NONE, '--out',
     'x.bank'),
    ('build_bank.py', f'{NONE}.py', NONE, '--out', 'x.bank'),
    ('download.py', NONE),
    ('explain.py', f'{NONE}.py', NONE, NONE, NONE),
    ('model_converters/convert_contrastiveseg.py', NONE, 'y.pth', '--config',
     CONFIG),
    ('model_converters/convert_spml.py', NONE, 'y.pth', '--config', CONFIG),
    ('misc/print_config.py', f'{NONE}.py'),
    ('misc/print_config.py', f'mmseg::fcn/{NONE}.py'),
    ('misc/print_config.py', f'{NONE}::fcn/a.py'),
    ('misc/publish_model.py', NONE, 'x'),
    ('misc/zoo.py', 'add', NONE),
    ('precompute_groups.py', f'{NONE}.py', '--out', 'x'),
    ('study.py', 'run', f'{NONE}.py'),
    ('test.py', f'{NONE}.py', 'none'),
    ('test.py', CONFIG, NONE),
    ('train.py', f'{NONE}.py'),
    ('train.py', f'mmseg::fcn/{NONE}.py'),
    ('train.py', CONFIG, '--cfg-options', f'load_from={NONE}'),
    ('tune_background.py', f'{NONE}.py', 'none'),
]


@pytest.mark.parametrize('call', WRONG, ids=' '.join)
def test_tools__end_in_a_line_for_a_wrong_path(call, tmp_path, monkeypatch):
    name, *args = call
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [name, *args])
    with pytest.raises(SystemExit) as raised, warnings.catch_warnings():
        runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
    assert str(raised.value.code).startswith('error: '), raised.value
    assert NONE in raised.value.code
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['attach.py', 'train.py', 'study.py'])
def test_tools__name_a_missing_package(name, monkeypatch):
    monkeypatch.setattr('mmpixsort.compat.found', lambda module: False)
    monkeypatch.setattr(sys, 'argv', [name])
    with pytest.raises(SystemExit, match='error: this needs `mm.*Remedy'):
        runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')


def test_tools__read_a_config_of_a_package(tmp_path):
    name = 'fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py'
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/misc/print_config.py'),
         f'mmseg::fcn/{name}'], cwd=tmp_path, capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''  # no word about pkg_resources
    assert "depth=18" in done.stdout
    # runs and their configs get its name
    assert read_config(f'mmseg::fcn/{name}').filename == name


def test_tools__silence_nothing_but_the_hosts_by_name():
    """A blanket filter would silence the package's own warnings."""
    for path in PROGRAMS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(
                    node.func, ast.Attribute) and (
                    node.func.attr == 'filterwarnings'):
                assert len(node.args) + len(node.keywords) > 1, path
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('default')
        quiet_hosts()
        warnings.warn('pkg_resources is deprecated as an API.')
        warnings.warn('the weights are unknown')
    assert [str(warning.message) for warning in seen] == [
        'the weights are unknown']


def test_errors_as_text__passes_other_errors_on():
    with pytest.raises(KeyError), errors_as_text():
        raise KeyError('a fault of the program')
    with pytest.raises(SystemExit, match='error: '), errors_as_text(KeyError):
        raise KeyError('a fault of the input')


@pytest.mark.parametrize('path', [
    'https://a.b/c.pth', 'torchvision://resnet18', 's3:bucket/a.pth', None])
def test_check_checkpoint__leaves_addresses_alone(path):
    assert check_checkpoint(path) == path


@pytest.mark.parametrize('text, message', [
    ('model = dict(', r'must be a config, but cannot be read'),
    ("_base_ = './gone.py'", 'gone.py'),
])
def test_read_config__names_what_is_wrong(text, message, tmp_path):
    (tmp_path / 'a.py').write_text(text)
    with pytest.raises((ValueError, OSError), match=message):
        read_config(tmp_path / 'a.py')
