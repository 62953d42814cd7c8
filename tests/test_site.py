"""The documentation site: its tables, its pages, and that it builds."""
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_api_surface import PUBLIC

from mmpixsort import functional
from mmpixsort.structures import KeyBlock

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / 'docs'
METHODS = ('pixel_contrast', 'segsort', 'discriminative', 'panoptic_segsort',
           'text_grouping')


def _extension(name):
    spec = importlib.util.spec_from_file_location(
        name, DOCS / '_ext' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('method', METHODS)
def test_metafile_rows__have_every_row_of_the_metafile(method):
    text = _extension('metafile_rows').table(method)
    path = ROOT / 'configs' / method / 'metafile.yml'
    models = yaml.safe_load(path.read_text())['Models']
    assert len(text.splitlines()) == len(models) + 2
    for model in models:
        assert f'[{model["Name"]}](/{model["Config"]})' in text
        assert f'| {model["Metadata"]["State"]} |' in text


def test_configs_page__has_a_table_of_every_method():
    page = (DOCS / 'configs.md').read_text()
    assert re.findall(r'\{model-table\} (\w+)', page) == list(METHODS)


@pytest.mark.parametrize('line, want', [
    ('(B, *spatial) ids', r'(B, \*spatial) ids'),
    ('an *emphasis* stays', 'an *emphasis* stays'),
    ('B * D * N numbers', 'B * D * N numbers'),
    ('**strong** and `*code`', '**strong** and `*code`'),
    ('>>> f(*args)', '>>> f(*args)'),
])
def test_escape_stars__only_in_shapes(line, want):
    assert _extension('docstring_stars').escape_stars([line]) == [want]


def test_skip_field__only_of_named_tuples():
    skip = _extension('named_tuple_fields').skip_field
    members = vars(KeyBlock)
    assert skip(None, 'class', 'keys', members['keys'], False, None)
    assert not skip(None, 'class', 'count', KeyBlock.count, False, None)
    assert skip(None, 'class', 'count', KeyBlock.count, True, None)


def test_api_reference__lists_every_function():
    page = (DOCS / 'api' / 'functional.md').read_text()
    listed = re.findall(r'autofunction:: (\w+)', page)
    assert sorted(listed) == sorted(functional.__all__)


def test_api_reference__lists_every_public_name():
    pages = ''.join(path.read_text() for path in DOCS.glob('api/*.md'))
    listed = set(re.findall(r'auto(?:function|class):: (\w+)', pages))
    for module, names in re.findall(
            r'automodule:: (\S+)\n +:members:(.*)', pages):
        listed |= (set(names.replace(',', ' ').split())
                   or PUBLIC.get(module, set()))
    missing = {module: names - listed for module, names in PUBLIC.items()}
    assert {module: names for module, names in missing.items() if names} == {}


def test_pages__are_in_the_navigation():
    listed = set()
    for path in DOCS.rglob('*.md'):
        for tree in re.findall(r'```\{toctree\}\n(.*?)```', path.read_text(),
                               re.S):
            listed |= {(path.parent / f'{line}.md').resolve()
                       for line in tree.split('\n')
                       if line and not line.startswith(':')}
    pages = {path for path in DOCS.rglob('*.md')} - {DOCS / 'index.md'}
    assert pages <= listed, sorted(pages - listed)
    assert all(path.exists() for path in listed)


def test_readme__figures_are_those_of_the_study():
    readme = (ROOT / 'README.md').read_text()
    results = (DOCS / 'results.md').read_text()
    start = results.index('configs/studies/camvid_few.py')
    table = results[start:results.index('end of study', start)]
    for arm, seeds, said in (('sorting, classifier', 5, '**+{:.1f} mIoU**'),
                             ('sorting, retrieval', 5, '**+{:.1f}**'),
                             ('plain, retrieval', 5, ' {:.1f}\n'),
                             ('in-batch, classifier', 5, '+{:.1f} mIoU')):
        row = re.search(rf'\| {arm} \| (\d) \| [^|]*\| \+([\d.]+) ', table)
        assert int(row[1]) == seeds
        assert said.format(float(row[2])) in readme, (arm, row[2])


@pytest.mark.slow
def test_site__builds_without_warnings(tmp_path):
    for name in ('sphinx', 'furo', 'myst_parser'):
        pytest.importorskip(name, reason='the extra docs is not installed')
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-c',
         'docs', '.', str(tmp_path)], cwd=ROOT, capture_output=True,
        text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in ('docs/index.html', 'docs/api/functional.html',
                 'configs/segsort/README.html', 'index.html'):
        assert (tmp_path / page).is_file(), page
