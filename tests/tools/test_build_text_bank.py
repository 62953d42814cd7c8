"""tools/build_text_bank.py, and the functions behind it."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmpixsort.apis.text_bank import (build_text_bank, import_matrix,
                                      read_vocabulary)
from mmpixsort.apis.loading import load_encoder
from mmpixsort.text.bank import TextBank

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'build_text_bank.py'
CONFIG = '''
encoder = dict(
    type='mmpixsort.TinyDual', embed_dims=8, vocabulary=['disk', 'ring'])
model = dict(backbone=encoder)
'''


def run(*words):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True,
        text=True, check=False)


@pytest.fixture
def files(tmp_path):
    """A config, a list of classes, a matrix with names."""
    (tmp_path / 'c.py').write_text(CONFIG)
    (tmp_path / 'classes.txt').write_text(
        '# shapes\nround: disk\n\nring\n')
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    rows = np.arange(1, 7).reshape(2, 3).astype(np.float16)
    np.save(tmp_path / 'rows.npy', rows)
    return tmp_path


def test_read_vocabulary__file_and_data_set(files):
    got = read_vocabulary(files / 'classes.txt')
    assert got.classes == ('round', 'ring')
    assert got.names == (('disk', ), ('ring', ))
    assert len(read_vocabulary('cityscapes').classes) == 19
    with pytest.raises(ValueError, match='a text file or the name of a data'):
        read_vocabulary('nowhere.txt')


def test_build_text_bank__with_weights_of_a_checkpoint(files):
    pytest.importorskip('mmpixsort.text.encoders.tiny_dual')
    encoder = load_encoder(files / 'c.py')
    torch.save(
        dict(state_dict={
            f'backbone.{k}': v for k, v in encoder.state_dict().items()}),
        files / 'w.pth')
    again = load_encoder(files / 'c.py', files / 'w.pth')
    vocabulary = read_vocabulary(files / 'classes.txt')
    banks = [
        build_text_bank(vocabulary, each, templates='none', device='cpu')
        for each in (encoder, again)]
    assert torch.equal(banks[0].embeddings, banks[1].embeddings)
    assert banks[0].fingerprint == banks[1].fingerprint
    torch.save(dict(state_dict=dict(a=torch.ones(1))), files / 'w.pth')
    with pytest.raises(ValueError, match='must hold weights `backbone'):
        load_encoder(files / 'c.py', files / 'w.pth')


def test_load_encoder__needs_one(files):
    (files / 'c.py').write_text('model = dict()')
    with pytest.raises(ValueError, match='must have a dual encoder'):
        load_encoder(files / 'c.py')


def test_import_matrix__normalises(files):
    bank = import_matrix(files / 'rows.npy', files / 'names.txt')
    assert bank.classes == ('cat', 'dog')
    assert torch.allclose(bank(torch.tensor([1., 2., 3.]))[0],
                          torch.tensor(1.))


@pytest.mark.parametrize('rows, text', [
    (np.ones((3, 2)), r'floats \(2, E\), one row for each name'),
    (np.ones((2, 2), int), r'got int64 \(2, 2\)'),
    (np.array([[1., 1.], [0., 0.]]), "in row 1, 'dog'"),
    (np.array([[np.nan, 1.], [1., 0.]]), "in row 0, 'cat'"),
])
def test_import_matrix__bad_rows(files, rows, text):
    np.save(files / 'rows.npy', rows)
    with pytest.raises(ValueError, match=text):
        import_matrix(files / 'rows.npy', files / 'names.txt')


@pytest.mark.parametrize('name, count', [('coco80', 80), ('lvis1203', 1203)])
def test_import_matrix__real_embeddings(shared_data, tmp_path, name, count):
    folder = shared_data / 'clip_text'
    matrix = folder / f'{name}_clip_vitb32_a_cname_fp16.npy'
    if not matrix.is_file():
        pytest.skip(f'no {matrix}')
    bank = import_matrix(matrix, folder / f'{name}_names.txt',
                         templates=['a {}'])
    assert bank.embeddings.shape == (count, 512)
    bank.save(tmp_path / 'x.npz')
    again = TextBank(file=tmp_path / 'x.npz')
    rows = torch.from_numpy(np.load(matrix)).float()
    assert torch.equal(again(rows).argmax(1), torch.arange(count))


def test_tool__imports_and_builds(files):
    done = run('--from-npy', files / 'rows.npy', files / 'names.txt', '--out',
               files / 'x.npz', '--templates', 'a {}')
    assert done.returncode == 0, done.stderr
    assert '2 classes, 2 names, 3 dims' in done.stdout
    assert TextBank(file=files / 'x.npz').templates == ('a {}', )


def test_tool__names_what_is_wrong(files):
    done = run('none.txt', files / 'c.py', '--out', files / 'x.npz')
    assert done.returncode != 0 and 'Traceback' not in done.stderr
    assert 'error: `classes` must be a text file' in done.stderr


def test_tool__help_has_examples():
    done = run('--help')
    assert 'Examples:' in done.stdout and '--from-npy' in done.stdout
