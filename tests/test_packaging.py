"""Metadata, and `.mim` in editable installs and wheels."""
import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mmpixsort
from mmpixsort import compat

SHIPPED = ('LICENSE', 'MANIFEST.in', 'setup.cfg', 'setup.py', 'pyproject.toml',
           'model-index.yml', 'mmpixsort', 'tools')
METAFILE = """Models:
- Name: some_model
  Config: configs/some/some_model.py
  Metadata:
    Bank: model_zoo/a.npz
  Training Log: model_zoo/a.json
  Weights: model_zoo/a.pth
"""
BUILD = ('import sys; from setuptools import build_meta; '
         'print(getattr(build_meta, sys.argv[1])(sys.argv[2]))')


@pytest.fixture(scope='module')
def metadata():
    parser = configparser.ConfigParser()
    parser.read(Path(__file__).resolve().parent.parent / 'setup.cfg')
    return parser


@pytest.fixture
def clone(repo_root, tmp_path):
    """A copy of what a build reads, with one config."""
    root = tmp_path / 'clone'
    root.mkdir()
    unwanted = shutil.ignore_patterns('__pycache__', '.mim')
    for name in SHIPPED:
        source = repo_root / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=unwanted)
        else:
            shutil.copy(source, root / name)
    (root / 'README.md').write_text('# mmpixsort\n')
    (root / 'configs' / 'some').mkdir(parents=True)
    (root / 'configs' / 'some' / 'some_model.py').write_text('a = 1\n')
    (root / 'model-index.yml').write_text(
        'Import:\n  - configs/some/metafile.yml\n')
    (root / 'configs' / 'some' / 'metafile.yml').write_text(METAFILE)
    (root / 'model_zoo').mkdir()
    for name in ('a.pth', 'a.npz', 'a.json', 'README.md'):
        (root / 'model_zoo' / name).write_text('content')
    return root


def build(clone: Path, kind: str) -> Path:
    """Run one hook of the build backend; return the file it made."""
    out = clone.parent / 'out'
    out.mkdir()
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', BUILD, kind,
                           out], cwd=clone, check=False, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


def test_metadata__names_the_contributors(metadata, repo_root):
    assert metadata['metadata']['author'] == 'mmpixsort contributors'
    assert not {'author_email', 'maintainer'} & set(metadata['metadata'])
    citation = (repo_root / 'CITATION.cff').read_text()
    assert citation.count('- name:') == 1
    assert '- name: mmpixsort contributors' in citation


def test_metadata__requires_no_mm_package(metadata):
    required = metadata['options']['install_requires'].split()
    assert required == ['torch>=2.1', 'numpy']


def test_metadata__pins_the_stack(metadata):
    extras = metadata['options.extras_require']
    hosts = extras['hosts'].split()
    for pin in ('mmengine==0.10.7', 'mmsegmentation==1.2.2', 'setuptools<82',
                'ftfy', 'regex', 'opencv-python<5'):
        assert pin in hosts
    assert 'mmcv==2.1.0' in extras['mim']
    assert 'mmcv-lite==2.1.0' in extras['lite']
    assert extras['det'].split() == ['mmdet==3.3.0']


def test_metadata__versions_agree(repo_root):
    citation = (repo_root / 'CITATION.cff').read_text()
    changelog = (repo_root / 'CHANGELOG.md').read_text()
    assert f'version: {mmpixsort.__version__}\n' in citation
    assert f'## {mmpixsort.__version__}' in changelog


def test_license__is_apache(repo_root):
    text = (repo_root / 'LICENSE').read_text()
    assert 'Apache License' in text and 'Version 2.0, January 2004' in text


def test_wheel__has_the_address_of_the_repository(clone, monkeypatch):
    monkeypatch.setenv('MMPIXSORT_URL', 'https://a.b/c/d/')
    (clone / 'README.md').write_text(
        '# x\n[page](docs/a.md#b) [![badge](https://i.o/x.svg)](LICENSE)\n'
        '![several\nlines](docs/images/a.png) [here](#x) [out](http://e.f)\n')
    with zipfile.ZipFile(build(clone, 'build_wheel')) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith('/METADATA'))
        text = wheel.read(name).decode()
    assert 'Project-URL: Issues, https://a.b/c/d/issues\n' in text
    assert 'https://a.b/c/d\n' in text.partition('Requires-Dist')[0]
    description = text.partition('\n\n')[2]
    assert description.rstrip().endswith(
        '# x\n[page](https://a.b/c/d/blob/main/docs/a.md#b) '
        '[![badge](https://i.o/x.svg)](https://a.b/c/d/blob/main/LICENSE)\n'
        '![several\nlines](https://a.b/c/d/raw/main/docs/images/a.png) '
        '[here](#x) [out](http://e.f)')


def test_editable__links_mim(clone):
    build(clone, 'build_editable')
    mim = clone / 'mmpixsort' / '.mim'
    assert (mim / 'configs' / 'some' / 'some_model.py').is_file()
    assert (mim / 'tools' / 'train.py').is_file()
    assert (mim / 'model-index.yml').is_file()
    assert (mim / 'configs').is_symlink()


def test_editable__copies_where_links_fail(clone):
    setup = clone / 'setup.py'
    setup.write_text(
        'from pathlib import Path\n'
        'def refuse(*args): raise OSError("no links here")\n'
        'Path.symlink_to = refuse\n' + setup.read_text())
    build(clone, 'build_editable')
    mim = clone / 'mmpixsort' / '.mim'
    assert not (mim / 'configs').is_symlink()
    assert (mim / 'configs' / 'some' / 'some_model.py').is_file()


def test_wheel__holds_mim_and_nothing_else(clone):
    wheel = build(clone, 'build_wheel')
    assert wheel.name == f'mmpixsort-{mmpixsort.__version__}-py3-none-any.whl'
    names = zipfile.ZipFile(wheel).namelist()
    for name in ('configs/some/some_model.py', 'tools/train.py',
                 'tools/dist_train.sh', 'model-index.yml'):
        assert f'mmpixsort/.mim/{name}' in names
    assert 'mmpixsort/py.typed' in names  # editors read the annotations
    for suffix in ('html', 'css', 'js'):
        assert ('mmpixsort/visualization/explorer/explorer.'
                f'{suffix}') in names
    assert {name.split('/')[0] for name in names} == {
        'mmpixsort', f'mmpixsort-{mmpixsort.__version__}.dist-info'}


def test_wheel__has_the_logs_of_the_zoo_and_no_weights(clone):
    wheel = zipfile.ZipFile(build(clone, 'build_wheel'))
    zoo = {name for name in wheel.namelist() if '/model_zoo/' in name}
    assert zoo == {'mmpixsort/.mim/model_zoo/a.json',
                   'mmpixsort/.mim/model_zoo/README.md'}
    assert wheel.read('mmpixsort/.mim/model-index.yml').decode() == (
        clone / 'model-index.yml').read_text()


@pytest.mark.parametrize('kind', ['build_wheel', 'build_editable'])
def test_build__names_the_weights_by_the_url_of_the_zoo(
        clone, kind, monkeypatch):
    monkeypatch.setenv('MMPIXSORT_ZOO', 'https://a.b/zoo/')
    before = (clone / 'model-index.yml').read_text()
    built = build(clone, kind)
    mim = clone / 'mmpixsort' / '.mim'
    if kind == 'build_wheel':
        mim = clone.parent / 'unpacked' / 'mmpixsort' / '.mim'
        zipfile.ZipFile(built).extractall(clone.parent / 'unpacked')
    index = (mim / 'model-index.yml').read_text()
    assert index == 'Import:\n  - metafiles/some.yml\n'
    row = (mim / 'metafiles' / 'some.yml').read_text()
    assert 'Weights: https://a.b/zoo/a.pth\n' in row
    assert 'Bank: https://a.b/zoo/a.npz\n' in row
    assert 'Log: model_zoo/a.json\n' in row  # which is in the package
    assert (mim / 'configs' / 'some' / 'some_model.py').is_file()
    # the checkout is as before
    assert (clone / 'model-index.yml').read_text() == before
    assert 'a.b' not in (clone / 'configs/some/metafile.yml').read_text()


def test_sdist__holds_what_a_wheel_needs(clone):
    import tarfile
    sdist = build(clone, 'build_sdist')
    with tarfile.open(sdist) as archive:
        names = {'/'.join(n.split('/')[1:]) for n in archive.getnames()}
    for name in ('mmpixsort/visualization/explorer/explorer.js',
                 'setup.py', 'configs/some/some_model.py', 'tools/train.py',
                 'model-index.yml', 'mmpixsort/compat.py', 'LICENSE',
                 'model_zoo/a.json'):
        assert name in names
    assert not {'model_zoo/a.pth', 'model_zoo/a.npz'} & names


def test_prefix__reads_a_config_of_this_package(tmp_path):
    from mmengine.config import Config
    configs = Path(mmpixsort.__path__[0]) / '.mim' / 'configs'
    found = sorted(configs.glob('*/*.py'))
    if not found:
        pytest.skip('no config in mmpixsort/.mim: not installed by pip')
    name = found[0].relative_to(configs).as_posix()
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'mmpixsort::{name}'\nadded = 1\n")
    cfg = Config.fromfile(child)
    assert cfg.added == 1 and len(cfg) > 1


@pytest.mark.skipif(not compat.found('mmengine'), reason='no mmengine')
def test_model_index__lists_existing_metafiles(repo_root):
    from mmengine.fileio import load
    for name in load(repo_root / 'model-index.yml')['Import']:
        assert (repo_root / name).is_file(), name
