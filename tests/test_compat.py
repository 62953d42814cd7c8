"""Families, versions, prefixes, checkpoints and the stand-in for ops."""
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import mmpixsort
from mmpixsort import compat, unpickling

CLASSIC = {
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmsegmentation': '1.2.2',
    'mmdet': '3.3.0',
    'torch': '2.13.0+cpu',
}
ONEDL = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmsegmentation': '1.4.2',
}


@pytest.fixture
def nothing_missing(monkeypatch):
    """Pretend that every module is there, whatever runs this suite."""
    monkeypatch.setattr(compat, 'found', lambda module: True)


@pytest.mark.parametrize('text, numbers', [
    ('2.13.0+cpu', (2, 13, 0)),
    ('2.0.0rc4', (2, 0, 0)),
    ('1.4.2.post1', (1, 4, 2)),
    ('unknown', (0, )),
])
def test_release__numbers(text, numbers):
    assert compat.release(text) == numbers


@pytest.mark.parametrize('versions, family', [
    (CLASSIC, 'classic'),
    ({'mmcv-lite': '2.1.0'}, 'classic'),
    (ONEDL, 'onedl'),
    ({**CLASSIC, **ONEDL}, 'both'),
    ({'torch': '2.13.0'}, 'none'),
])
def test_family__from_distributions(versions, family):
    assert compat.family(versions) == family


@pytest.mark.parametrize('versions', [CLASSIC, ONEDL, {}])
def test_find_problems__good_sets(versions, nothing_missing):
    assert compat.find_problems(versions) == []


def test_find_problems__both_families_are_fatal(nothing_missing):
    problem, = compat.find_problems({**CLASSIC, **ONEDL})
    assert problem.fatal
    assert 'both families' in problem.what
    assert 'onedl-mmcv' in problem.what and 'uninstall' in problem.remedy


@pytest.mark.parametrize('name', ['mmcv', 'mmcv-lite'])
def test_find_problems__new_mmcv_with_classic_hosts(name, nothing_missing):
    versions = {k: v for k, v in CLASSIC.items() if k != 'mmcv'}
    problems = compat.find_problems({**versions, name: '2.2.0'})
    fatal, = [problem for problem in problems if problem.fatal]
    assert f'found {name} 2.2.0' in fatal.what
    assert f'pip install {name}==2.1.0' in fatal.remedy


def test_find_problems__new_mmcv_without_hosts_only_warns(nothing_missing):
    problems = compat.find_problems({'mmcv': '2.2.0', 'mmengine': '0.10.7'})
    assert [problem.fatal for problem in problems] == [False]


@pytest.mark.parametrize('change, words', [
    ({'mmengine': '0.9.0'}, 'mmengine 0.9.0 was never tried'),
    ({'torch': '2.0.1'}, 'torch 2.0.1 is too old'),
    ({'mmcv-lite': '2.1.0'}, 'both installed'),
])
def test_find_problems__warnings(change, words, nothing_missing):
    problem, = compat.find_problems({**CLASSIC, **change})
    assert not problem.fatal and words in problem.what and problem.remedy


@pytest.mark.parametrize('module', ['pkg_resources', 'ftfy', 'regex'])
def test_find_problems__missing_module(module, monkeypatch):
    monkeypatch.setattr(compat, 'found', lambda name: name != module)
    problem, = compat.find_problems(CLASSIC)
    assert module in problem.what and 'pip install' in problem.remedy


def test_setup__refuses_with_remedy(monkeypatch, nothing_missing):
    monkeypatch.setitem(compat._state, 'done', False)
    monkeypatch.setattr(compat, 'installed', lambda: {**CLASSIC, **ONEDL})
    with pytest.raises(ImportError, match='both families.*Remedy'):
        compat.setup()


def test_setup__lets_the_check_report(monkeypatch, nothing_missing):
    monkeypatch.setitem(compat._state, 'done', False)
    monkeypatch.setattr(compat, 'installed', lambda: {**CLASSIC, **ONEDL})
    monkeypatch.setattr(compat, 'found', lambda module: False)
    monkeypatch.setattr(sys, 'orig_argv', ['python', '-m', 'mmpixsort.check'])
    compat.setup()
    assert compat._state['done']


def test_setup__runs_once(monkeypatch):
    calls = []
    monkeypatch.setitem(compat._state, 'done', False)
    monkeypatch.setattr(compat, 'installed', lambda: calls.append(1) or {})
    monkeypatch.setattr(compat, 'found', lambda module: False)
    compat.setup()
    compat.setup()
    assert len(calls) == 1


def test_setup__warns_about_versions(monkeypatch, nothing_missing):
    monkeypatch.setitem(compat._state, 'done', False)
    monkeypatch.setattr(compat, 'installed', lambda: {'mmdet': '2.0.0'})
    for name in ('stand_in_for_ops', 'register_config_prefixes',
                 'inherit_without_scope', 'allow_checkpoint_globals'):
        monkeypatch.setattr(compat, name, lambda: None)
    with pytest.warns(UserWarning, match='mmdet 2.0.0 was never tried'):
        compat.setup()
    assert compat._state['done']


def test_require__names_module_and_remedy():
    with pytest.raises(ImportError, match='`no_such_host`.*Remedy'):
        compat.require('no_such_host')


# --- configs ---


def test_prefix__resolves_to_this_package(tmp_path):
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.utils import get_installed_path, is_installed
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        name = MODULE2PACKAGE['mmpixsort']
        assert is_installed(name)
        assert get_installed_path(name) == mmpixsort.__path__[0]


@pytest.mark.parametrize('versions, package', [
    (ONEDL, 'onedl-mmsegmentation'),
    (CLASSIC, 'mmsegmentation'),
])
def test_prefix__of_the_host(versions, package, monkeypatch):
    from mmengine.config import utils
    table = {'mmseg': 'mmsegmentation'}
    monkeypatch.setattr(utils, 'MODULE2PACKAGE', table)
    monkeypatch.setattr(compat, 'installed', lambda: versions)
    compat.register_config_prefixes()
    assert table['mmseg'] == package


def test_prefix__leaves_the_scope_to_the_host(tmp_path):
    from mmengine.config import Config
    name = 'pixel_contrast/pixel-contrast_fcn-mnv2_1xb4-600it_street-scenes.py'
    path = Path(mmpixsort.__path__[0], '.mim', 'configs', name)
    if not path.exists():
        pytest.skip('no config in mmpixsort/.mim: not installed by pip')
    (tmp_path / 'child.py').write_text(f"_base_ = 'mmpixsort::{name}'\n")
    compat.inherit_without_scope()  # a second time changes nothing
    child = Config.fromfile(tmp_path / 'child.py')
    assert child.to_dict() == Config.fromfile(path).to_dict()


# --- checkpoints ---


@pytest.fixture
def history():
    from mmengine.logging import HistoryBuffer
    buffer = HistoryBuffer()
    buffer.update(1.5)
    buffer.update(np.float32(2).item(), 2)
    return buffer


def test_checkpoint__message_hub_loads_weights_only(history, tmp_path):
    content = {
        'message_hub': {'log_scalars': {'train/loss': history}},
        'empty': type(history)(),
        'numpy': [np.float64(3), np.int64(4), np.arange(3, dtype=np.uint32)],
        'meta': {'seed': 0, 'numbers': np.ones((2, 2), np.float32)},
    }
    torch.save(content, tmp_path / 'x.pth')
    read = torch.load(tmp_path / 'x.pth', weights_only=True)
    loaded = read['message_hub']['log_scalars']['train/loss']
    assert loaded.data[0].tolist() == [1.5, 2.0]
    assert loaded.statistics('mean') == history.statistics('mean')
    assert read['empty'].data[0].size == 0
    assert read['numpy'][2].tolist() == [0, 1, 2]
    assert (read['meta']['numbers'] == 1).all()


def test_checkpoint__fails_without_the_globals(history, tmp_path):
    torch.save(history, tmp_path / 'x.pth')
    code = ('import sys, torch\ntry:\n'
            '    torch.load(sys.argv[1], weights_only=True)\n'
            'except Exception as error:\n'
            '    print(type(error).__name__)\n')
    done = subprocess.run(
        [sys.executable, '-c', code, tmp_path / 'x.pth'],
        capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'UnpicklingError'


class Attack:
    """Reads an attribute while it is loaded."""

    def __init__(self, owner, name):
        self.parts = owner, name

    def __reduce__(self):
        return getattr, self.parts


@pytest.mark.parametrize('owner, name', [
    (np.ndarray, 'tofile'),
    ('text', 'format'),
])
def test_checkpoint__getattr_stays_guarded(owner, name, tmp_path):
    torch.save(Attack(owner, name), tmp_path / 'x.pth')
    with pytest.raises((TypeError, pickle.UnpicklingError),
                       match='public methods of HistoryBuffer'):
        torch.load(tmp_path / 'x.pth', weights_only=True)


class Call:
    """Calls something while it is loaded, and sets its state."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args) + (
            () if state is None else (state, ))

    def __reduce__(self):
        return self.parts


RECONSTRUCT, ARRAY_STATE = np.arange(2.).__reduce__()[::2]
SCALAR = np.float64(1).__reduce__()[0]


@pytest.mark.parametrize('attack', [
    # a pointer out of the bytes of a file
    Call(np.ndarray, (1, ), 'O', b'\1' * 8),
    Call(np.ndarray, (1 << 40, ), 'f8'),
    Call(np.dtype, 'O'),
    Call(np.dtype, 'f8,O'),
    Call(np.dtype, 'f8', False, True, state=(
        3, '<', None, ('a', ), {'a': (np.dtype('f8'), 0)}, 8, 1, 0)),
    Call(SCALAR, np.dtype('O'), b'\1' * 8),
    Call(SCALAR, np.dtype('f8'), b'\1'),
    Call(bytes, 1 << 40),
    Call(RECONSTRUCT, np.ndarray, (1 << 40, ), b'f'),
    Call(RECONSTRUCT, np.ndarray, (0, ), b'b', state=(
        1, (1 << 40, ), np.dtype('f8'), False, b'\1' * 8)),
    Call(RECONSTRUCT, np.ndarray, (0, ), b'b', state=(
        1, (1, ), np.dtype('O'), False, ['x'])),
    Call(RECONSTRUCT, np.recarray, (0, ), b'b'),
])
def test_checkpoint__builds_nothing_but_numbers(attack, tmp_path):
    torch.save(attack, tmp_path / 'x.pth')
    with pytest.raises((TypeError, pickle.UnpicklingError)):
        torch.load(tmp_path / 'x.pth', weights_only=True)


@pytest.mark.parametrize('array', [
    np.arange(6.).reshape(2, 3), np.arange(6, dtype='>i4').reshape(3, 2).T,
    np.zeros((0, 3), np.float16), np.array(True), np.arange(3, dtype='u1')],
    ids=lambda array: str(array.dtype))
def test_checkpoint__arrays_survive_two_rounds(array, tmp_path):
    path = tmp_path / 'x.pth'
    for _ in range(2):
        torch.save(array, path)
        array = torch.load(path, weights_only=True)
    assert isinstance(array, np.ndarray)
    path.write_bytes(pickle.dumps(array))
    code = ('import pickle, sys; x = pickle.load(open(sys.argv[1], "rb")); '
            'assert type(x).__module__ == "numpy"; '
            'assert "mmpixsort" not in sys.modules')
    subprocess.run([sys.executable, '-c', code, path], check=True)


def test_checkpoint__getattr_refuses_private_names():
    from mmengine.logging import HistoryBuffer
    with pytest.raises(TypeError, match='`__init__`'):
        unpickling.history_method(HistoryBuffer, '__init__')
    assert unpickling.history_method(
        HistoryBuffer, 'mean') is HistoryBuffer.mean


# --- compiled operators ---


def test_stand_in__raises_on_first_use():
    module = compat.MissingOps()
    op = module.nms  # the import of an operator succeeds
    with pytest.raises(ImportError, match='`nms`.*OPS=1'):
        op(1, key=2)


def test_stand_in__looks_like_no_full_mmcv(monkeypatch):
    from importlib.util import find_spec
    monkeypatch.setitem(sys.modules, compat.EXT, compat.MissingOps())
    assert find_spec(compat.EXT).loader is None
    assert not hasattr(sys.modules[compat.EXT], '__file__')


def test_stand_in__keeps_real_operators(monkeypatch, tmp_path):
    monkeypatch.setattr(compat, 'ext_file', lambda: tmp_path)
    monkeypatch.delitem(sys.modules, compat.EXT, raising=False)
    compat.stand_in_for_ops()
    assert compat.EXT not in sys.modules


def test_stand_in__taken_without_operators(monkeypatch):
    monkeypatch.setattr(compat, 'ext_file', lambda: None)
    # Set first, so that it is put back whatever was there.
    monkeypatch.setitem(sys.modules, compat.EXT, SimpleNamespace())
    del sys.modules[compat.EXT]
    compat.stand_in_for_ops()
    assert isinstance(sys.modules[compat.EXT], compat.MissingOps)
    assert not compat.has_ops()


def test_has_ops__agrees_with_the_file():
    assert compat.has_ops() == (compat.ext_file() is not None)


def test_hosts__import_with_or_without_ops():
    code = ('import mmpixsort, mmseg.models, mmseg.apis, mmdet.models\n'
            'from mmcv.ops import nms, RoIAlign')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], check=False)
    assert done.returncode == 0


@pytest.mark.skipif(compat.has_ops(), reason='mmcv has compiled operators')
def test_hosts__missing_op_is_named():
    from mmcv.ops import nms
    with pytest.raises(ImportError, match='`nms`'):
        nms(torch.rand(3, 4), torch.rand(3), 0.5)
