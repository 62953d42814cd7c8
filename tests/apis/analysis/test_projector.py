"""Embeddings of banks in a plane."""
import runpy
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmpixsort.apis.analysis.bank_rows import even_rows, read_rows
from mmpixsort.apis.analysis.projector import project_bank
from mmpixsort.retrieval import PrototypeBank, write_bank
from mmpixsort.retrieval.instances import (InstanceRows, StoredInstances,
                                           write_instances)
from mmpixsort.text.bank_file import TextBankFile, write_text_bank
from mmpixsort.text.vocabulary import Vocabulary

TOOL = Path(__file__).resolve().parents[3] / (
    'tools/analysis_tools/embedding_projector.py')
META = dict(
    classes=['road', 'car'], images=['a.png', 'b.png'], embed_dims=2,
    rules={}, split='train', fingerprint='x', checkpoint='y.pth')


@pytest.fixture
def bank(tmp_path):
    """A bank of two classes that lie around two directions."""
    torch.manual_seed(0)
    labels = torch.arange(40) % 2
    centres = torch.eye(8)[labels]
    rows = torch.nn.functional.normalize(
        centres + .1 * torch.randn(40, 8), dim=1)
    zeros = torch.zeros(40, dtype=torch.int64)
    write_bank(PrototypeBank(
        features=rows, labels=labels, image_ids=labels.clone(),
        boxes=zeros[:, None] + torch.tensor([0, 0, 2, 2]), areas=zeros + 4,
        purity=torch.ones(40), meta=dict(
            classes=['road', 'sky'], palette=[[128, 64, 128], [70, 130, 180]],
            images=['a.png', 'b.png'], fingerprint='x', clustering={},
            embed_dims=8, rules={})), tmp_path / 'x.bank')
    return tmp_path / 'x.bank'


@pytest.mark.parametrize('method', [
    'tsne', 'pca', pytest.param('umap', marks=pytest.mark.slow)])
def test_project__classes_lie_apart(method, bank, tmp_path):
    if method == 'umap':
        pytest.importorskip('umap')
    done, again = (project_bank(bank, tmp_path / 'x.png', method=method,
                                perplexity=5.) for _ in range(2))
    assert np.array_equal(done.places, again.places)
    labels = done.rows.labels.numpy()
    centres = np.stack([done.places[labels == i].mean(0) for i in (0, 1)])
    away = np.linalg.norm(done.places[:, None] - centres, axis=2)
    assert (away.argmin(1) == labels).mean() > .95
    picture = cv2.imread(str(tmp_path / 'x.png'))[..., ::-1]
    for colour in ([128, 64, 128], [70, 130, 180]):
        assert (picture == colour).all(2).any()


def test_read_rows__of_texts(tmp_path):
    write_text_bank(TextBankFile(
        Vocabulary(classes=('cat', 'dog'), names=(('cat', 'kitten'),
                                                  ('dog', ))),
        torch.eye(3), ('a {}', ), ''), tmp_path / 'x.npz')
    rows = read_rows(tmp_path / 'x.npz')
    assert rows.labels.tolist() == [0, 0, 1]
    assert rows.notes == ['cat', 'kitten', 'dog']
    assert rows.pick(torch.tensor([2])).notes == ['dog']


def test_read_rows__of_instances(tmp_path):
    count = torch.tensor([1, 1])
    write_instances(StoredInstances(InstanceRows(
        embeddings=torch.tensor([[3., 4.], [0., 2.]]), baseline=torch.eye(2),
        classes=torch.tensor([1, 0]), image_ids=torch.tensor([0, 1]),
        numbers=count, boxes=torch.tensor([[0, 0, 1, 1]] * 2),
        areas=count.clone(),
        histograms=torch.full((2, 2), .5)), META), tmp_path / 'x.bank')
    rows = read_rows(tmp_path / 'x.bank')
    assert rows.embeddings.tolist() == [[3., 4.], [0., 2.]]
    assert [rows.classes[label] for label in rows.labels] == ['car', 'road']
    assert rows.notes == ['a.png', 'b.png']


def test_even_rows__a_rare_class_is_taken_whole():
    labels = torch.tensor([0] * 90 + [1] * 3 + [2] * 7)
    rows = even_rows(labels, 15)
    counts = labels[rows].bincount().tolist()
    assert counts[1] == 3 and abs(counts[0] - counts[2]) <= 1
    assert len(rows) == 15 == len(set(rows.tolist()))
    assert torch.equal(even_rows(labels, 200), torch.arange(100))
    assert torch.equal(rows, even_rows(labels, 15))
    assert not torch.equal(rows, even_rows(labels, 15, seed=1))


def test_project__log_for_tensorboard(bank, tmp_path, monkeypatch):
    """With a stand-in that notes what it is given."""
    given = {}

    class Writer:

        def __init__(self, folder):
            given['folder'] = folder

        def __enter__(self):
            return self

        def __exit__(self, *error):
            given['closed'] = True

        def add_embedding(self, rows, **options):
            given.update(rows=rows, **options)

    module = types.ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', module)
    done = project_bank(bank, tmp_path / 'x.png', method='pca',
                        board=tmp_path / 'log')
    assert done.board == tmp_path / 'log' and given['closed']
    assert given['rows'].shape == (40, 8)
    assert given['metadata'][1] == ['sky', 'b.png']
    assert given['metadata_header'] == ['class', 'source']


def test_project__log_by_tensorboard_itself(bank, tmp_path):
    pytest.importorskip('tensorboard')
    project_bank(bank, tmp_path / 'x.png', method='pca',
                 board=tmp_path / 'log')
    table, = (tmp_path / 'log').rglob('metadata.tsv')
    assert table.read_text().splitlines()[:3] == [
        'class\tsource', 'road\ta.png', 'sky\tb.png']


@pytest.mark.parametrize('module, options, message', [
    ('sklearn.manifold', dict(method='tsne'), r'mmpixsort\[vis\].*pca'),
    ('umap', dict(method='umap'), r'mmpixsort\[umap\]'),
    ('torch.utils.tensorboard', dict(method='pca', board='x'),
     r'mmpixsort\[vis\]'),
])
def test_project__names_the_extra_that_is_missing(
        module, options, message, bank, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        project_bank(bank, tmp_path / 'x.png', **options)


@pytest.mark.parametrize('options, message', [
    (dict(out='x.jpg'), '`out` must end in .png'),
    (dict(method='mds'), '`method` must be one of tsne'),
    (dict(perplexity=0.), '`perplexity` must be positive'),
    (dict(max_rows=1), '`max_rows` must be at least 4'),
])
def test_project__errors(options, message, bank, tmp_path):
    options = dict(dict(out='x.png'), **options)
    options['out'] = tmp_path / options['out']
    with pytest.raises(ValueError, match=message):
        project_bank(bank, **options)


def test_project__wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='`bank` must be a file'):
        project_bank(tmp_path / 'no.bank', tmp_path / 'x.png')
    (tmp_path / 'no.bank').write_text('no bank')
    with pytest.raises(ValueError, match='(?s)prototypes: .*texts: '):
        project_bank(tmp_path / 'no.bank', tmp_path / 'x.png')


def test_tool__from_the_command_line(bank, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        str(TOOL), str(bank), str(tmp_path / 'x.png'), '--method', 'pca',
        '--max-rows', '30'])
    runpy.run_path(str(TOOL), run_name='__main__')
    assert '30 rows: ' in capsys.readouterr().out
    assert (tmp_path / 'x.png').is_file()
