"""`python -m mmpixsort.check` never crashes and names remedies."""
import re
import subprocess
import sys
from configparser import ConfigParser

import pytest

from mmpixsort import check, compat
from mmpixsort.compat import Problem

GOOD = {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'torch': '2.13.0'}


@pytest.fixture
def in_order(monkeypatch, tmp_path):
    """Pretend that nothing is wrong."""
    for name in ('configs', 'tools', 'model-index.yml'):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(check, 'mim_folder', lambda: tmp_path)
    monkeypatch.setattr(compat, 'installed', lambda: GOOD)
    monkeypatch.setattr(compat, 'found', lambda module: True)
    monkeypatch.setattr(compat, 'ext_file', lambda: None)
    monkeypatch.setattr(compat, 'opencv', lambda: {'opencv-python': '4.14.0'})
    monkeypatch.setattr(check, 'import_error', lambda module: None)
    return tmp_path


def test_main__in_order(in_order, capsys):
    assert check.main() == 0
    shown = capsys.readouterr().out
    assert 'Everything is in order.' in shown
    assert 'classic' in shown and '2.1.0' in shown
    assert 'mmseg (segmentors), mmdet (detectors)' in shown


def test_main__missing_mim(in_order, capsys):
    (in_order / 'tools').rmdir()
    assert check.main() == 1
    shown = capsys.readouterr().out
    assert 'WRONG: mmpixsort/.mim/tools is missing' in shown
    assert 'remedy:' in shown


def test_main__both_families(in_order, monkeypatch, capsys):
    monkeypatch.setattr(compat, 'installed',
                        lambda: {**GOOD, 'onedl-mmcv': '2.3.6'})
    assert check.main() == 1
    shown = capsys.readouterr().out
    assert 'both families' in shown and 'family                 both' in shown


@pytest.mark.parametrize('missing, words', [
    ({'torch'}, 'torch is not installed'),
    ({'mmseg', 'mmdet'}, 'no host is installed'),
])
def test_find_problems__missing(in_order, monkeypatch, missing, words):
    monkeypatch.setattr(compat, 'found', lambda name: name not in missing)
    problem, = check.find_problems()
    assert words in problem.what and 'pip install' in problem.remedy


def test_find_problems__ops_that_do_not_load(in_order, monkeypatch):
    monkeypatch.setattr(compat, 'ext_file', lambda: in_order)
    monkeypatch.setattr(compat, 'has_ops', lambda: False)
    problem, = check.find_problems()
    assert 'do not load with this torch' in problem.what
    assert 'OPS=1' in problem.remedy


def test_find_problems__host_that_does_not_import(in_order, monkeypatch):
    monkeypatch.setattr(
        check, 'import_error', lambda module: 'AssertionError: MMCV'
        if module == 'mmdet' else None)
    problem, = check.find_problems()
    assert problem.what == '`import mmdet` fails (AssertionError: MMCV)'


@pytest.mark.parametrize('module', ['open_clip', 'timm', 'sklearn.cluster'])
def test_find_problems__extra_that_is_there_and_does_not_import(
        in_order, monkeypatch, module, capsys):
    monkeypatch.setattr(
        check, 'import_error', lambda name: "ModuleNotFoundError: No module "
        "named 'torchvision'" if name == module else None)
    problem, = check.find_problems()
    assert problem.what.startswith(f'`import {module}` fails (ModuleNotFound')
    assert "No module named 'torchvision'" in problem.what
    assert "pip install 'torchvision==0." in problem.remedy
    assert check.main() == 1
    assert 'Everything is in order' not in capsys.readouterr().out
    extra = 'instances' if 'sklearn' in module else 'text'
    assert check.main(['--skip', extra]) == 0
    assert check.find_problems(['faiss']) == [problem]


def test_find_problems__extra_that_is_not_there(in_order, monkeypatch):
    monkeypatch.setattr(compat, 'found', lambda name: name != 'open_clip')
    monkeypatch.setattr(
        check, 'import_error',
        lambda name: 'ImportError' if name == 'open_clip' else None)
    assert check.find_problems() == []


def test_import_error__is_one_line():
    assert check.import_error('json') is None
    assert check.import_error('no_such_module') == (
        "ModuleNotFoundError: No module named 'no_such_module'")


def test_report__shows_every_problem(in_order):
    problems = [Problem(False, 'this', 'do'), Problem(True, 'that', 'undo')]
    shown = check.report(problems)
    assert 'WRONG: this\n  remedy: do\nWRONG: that\n  remedy: undo' in shown


def test_command__without_mm_packages():
    code = ('import sys, runpy\n'
            "for name in ('mmengine', 'mmcv', 'mmseg', 'mmdet'):\n"
            '    sys.modules[name] = None\n'
            "sys.argv = ['check', '--skip', 'text']\n"  # torchvision
            "runpy.run_module('mmpixsort.check', run_name='__main__')")
    done = subprocess.run([sys.executable, '-c', code], check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Everything is in order.\ntorch alone, a supported' in done.stdout
    assert 'mmpixsort[mim,det]' in done.stdout
    assert 'compiled ops           no' in done.stdout
    assert 'hosts                  none' in done.stdout


def test_find_problems__opencv_5(in_order, monkeypatch):
    monkeypatch.setattr(compat, 'opencv', lambda: {
        'opencv-python-headless': '5.0.0.93'})
    problem, = check.find_problems()
    assert problem.what.startswith('opencv-python-headless 5.0.0.93 breaks')
    assert problem.remedy == "pip install 'opencv-python-headless<5'"


def test_report__shows_the_extras(in_order, monkeypatch):
    monkeypatch.setattr(compat, 'found', lambda name: name != 'skimage')
    shown = check.report([])
    assert 'extra faiss            yes\n' in shown
    assert ('extra oversegment      no, without skimage: '
            "pip install 'mmpixsort[oversegment]'") in shown
    assert 'opencv-python          4.14.0' in shown


def test_extras__are_those_of_the_metadata(repo_root):
    """Each extra of packages of others is reported, and by its modules."""
    metadata = ConfigParser()
    metadata.read(repo_root / 'setup.cfg')
    modules = {'faiss-cpu': 'faiss', 'scikit-image': 'skimage',
               'scikit-learn': 'sklearn', 'open_clip_torch': 'open_clip',
               'umap-learn': 'umap'}
    stacks = {'hosts', 'mim', 'lite', 'det', 'onedl', 'onedl-det',
              'mminstall', 'lint', 'tests', 'benchmarks', 'browser', 'docs',
              'all'}
    extras = metadata['options.extras_require']
    assert set(check.EXTRAS) == set(extras) - stacks
    for name, found in check.EXTRAS.items():
        names = [re.split('[<>=]', line)[0] for line in extras[name].split()]
        assert tuple(modules.get(n, n) for n in names) == found
