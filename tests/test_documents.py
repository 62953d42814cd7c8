"""What the documents show works, and what they link to is there."""
import re
from pathlib import Path

import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmpixsort.apis.study import read_study
from mmpixsort.apis.study.report import fill_page

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md',
             *sorted((ROOT / 'docs').rglob('*.md'))]
IDS = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


def _blocks(name):
    """Python blocks of a document, without their indent."""
    found = re.findall(r'^( *)```python\n(.*?)^ *```',
                       (ROOT / name).read_text(), re.M | re.S)
    return [re.sub(rf'^{indent}', '', code, flags=re.M)
            for indent, code in found]


def _example(name):
    """The block of a method page that calls the functions."""
    return next(code for code in _blocks(name) if 'import torch' in code)


@pytest.mark.parametrize('path', DOCUMENTS, ids=IDS)
def test_documents__link_to_files_that_exist(path):
    links = re.findall(r'\]\(([^)#\s]+)', path.read_text())
    local = [link for link in links if '://' not in link]
    missing = [link for link in local if not (path.parent / link).exists()]
    assert missing == []


def test_documents__name_tests_that_exist():
    text = (ROOT / 'docs/runs.md').read_text()
    named = re.findall(r'`(tests/\S+\.py)::(\w+)`', text)
    assert len(named) > 20
    for path, name in named:
        assert f'def {name}(' in (ROOT / path).read_text(), (path, name)


def test_contributing__the_loss_trains_in_the_head():
    space = {}
    for code in _blocks('CONTRIBUTING.md'):
        exec(code, space)
    try:
        model = tiny.build(tiny.attached(
            loss=dict(type='mmpixsort.HardTripletLoss'))).train()
        for seed in range(2):  # the second against a bank that is filled
            losses = model(*tiny.batch(seed=seed), mode='loss')
            losses['loss_pixel_contrast'].backward()
        assert losses['loss_pixel_contrast'] > 0
    finally:
        space['MODELS'].module_dict.pop('HardTripletLoss')
    anchors = torch.rand(3, 4)
    anchors[0] = float('nan')
    labels = torch.tensor([-1, 0, 0])
    loss, valid = space['hard_triplet'](
        anchors, labels, anchors, labels, margin=.2, own_key=0)
    assert loss.isfinite().all() and not valid[0]


def test_segsort_document__example_runs():
    space = {}
    exec(_example('docs/segsort.md'), space)
    assert space['valid'].all() and space['nll'].isfinite().all()
    assert space['segment_ids'].shape == (2, 24, 24)


def test_pixel_contrast_document__example_runs():
    space = {}
    exec(_example('docs/pixel_contrast.md'), space)
    assert space['loss'] > 0


def test_discriminative_document__example_runs():
    space = {}
    exec(_example('docs/discriminative.md'), space)
    assert space['embeddings'].grad.isfinite().all()
    assert space['clusters'].labels.shape == (64 * 64, )


def test_readme__attached_config_builds(tmp_path):
    path = tmp_path / 'attached.py'
    code, = (code for code in _blocks('README.md') if 'capacity=5000' in code)
    path.write_text(code)
    cfg = Config.fromfile(path)
    init_default_scope('mmseg')
    with torch.device('meta'):
        model = MODELS.build(dict(cfg.model, pretrained=None))
    assert model.metric_head.bank.capacity == 5000


@pytest.mark.parametrize('path', DOCUMENTS, ids=IDS)
def test_documents__tables_are_those_of_the_result_files(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = path.read_text()
    assert fill_page(text, read_study) == text, (
        f'python tools/study.py report --pages {path.relative_to(ROOT)}')


def test_results__of_all_studies_are_on_the_pages():
    page = ''.join((ROOT / 'docs' / name).read_text()
                   for name in ('results.md', 'protocol.md'))
    for path in (ROOT / 'configs' / 'studies').glob('*.py'):
        if read_study(path).results.is_dir():
            assert f'<!-- study: configs/studies/{path.name}' in page
