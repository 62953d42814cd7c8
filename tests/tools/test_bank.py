"""tools/bank.py from the command line."""
import subprocess
import sys
from pathlib import Path

import pytest
from retrieval.test_bank_file import make_bank

from mmpixsort.retrieval import read_bank, write_bank

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'bank.py'


def _run(*words):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True,
        text=True, check=False)


def test_bank_tool__relabels_and_shows(tmp_path):
    write_bank(make_bank(), tmp_path / 'x.npz')
    done = _run('relabel', tmp_path / 'x.npz', '--old', 'car', '--new',
                'tram', '--out', tmp_path / 'y.npz')
    assert done.returncode == 0, done.stderr
    assert 'tram' in done.stdout and 'written' in done.stdout
    assert 'tram' in read_bank(tmp_path / 'y.npz').meta['classes']


def test_bank_tool__prints_the_images_that_are_removed(tmp_path):
    write_bank(make_bank(images=['a/1.jpg', 'a/11.jpg', 'b/1.jpg', 'c.jpg']),
               tmp_path / 'x.npz')
    done = _run('remove', tmp_path / 'x.npz', '--image', '1.jpg', '--out',
                tmp_path / 'y.npz')
    assert done.returncode == 0, done.stderr
    for name in ('a/1.jpg', 'b/1.jpg'):
        assert f'removed: 5 segments of {name}\n' in done.stdout
    assert 'a/11.jpg' not in done.stdout
    assert read_bank(tmp_path / 'y.npz').image_ids.unique().tolist() == [1, 3]


@pytest.mark.parametrize('words, error', [
    (('info', 'none.bank'), 'not found'),
    (('remove', 'x.npz', '--class', 'sky', '--out', 'y.npz'),
     'class must be one of'),
    (('remove', 'x.npz', '--image', 'sky', '--out', 'y.npz'),
     '`image` must be the path')])
def test_bank_tool__names_what_is_wrong(tmp_path, words, error):
    write_bank(make_bank(), tmp_path / 'x.npz')
    done = _run(*[tmp_path / w if '.' in w else w for w in words])
    assert done.returncode != 0 and error in done.stderr
    assert 'Traceback' not in done.stderr


def test_bank_tool__help_has_examples():
    done = _run('--help')
    assert 'Examples:' in done.stdout and '--mask' in done.stdout
