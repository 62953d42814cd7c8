"""tools/retrieve_instances.py from the command line."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_bank

TOOL = Path(__file__).resolve().parents[2] / 'tools/retrieve_instances.py'


def _run(*words):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'}, text=True, check=False)


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tool')
    tiny_bank.save_run(folder)
    done = _run('build', folder / 'small.py', folder / 'weights.pth',
                '--out', folder / 'x.bank', '--min-area', 20,
                '--cfg-options', 'train_dataloader.dataset.num_images=6')
    assert done.returncode == 0, done.stderr
    assert 'of 6 images' in done.stdout and 'written' in done.stdout
    return folder


def test_retrieve_instances_tool__shows(built):
    done = _run('query', built / 'small.py', built / 'weights.pth',
                built / 'x.bank', '--bank-row', 1, '--num-neighbors', 2,
                '--out', built / 'shown', '--cfg-options',
                'train_dataloader.dataset.num_images=6')
    assert done.returncode == 0, done.stderr
    assert (built / 'shown' / 'row_000001.png').is_file()
    assert (built / 'shown' / 'row_000001.html').is_file()


def test_retrieve_instances_tool__scores(built):
    done = _run('score', built / 'x.bank', '--num-neighbors', 2,
                '--out-json', built / 'score.json')
    assert done.returncode == 0, done.stderr
    score = json.loads((built / 'score.json').read_text())
    assert score['num_neighbors'] == 2 and score['feature'] == 'logits'
    assert f'{score["embedding"]["retrieved"]:.4f}' in done.stdout
    assert 'random of the class' in done.stdout


@pytest.mark.parametrize('words, error', [
    (('score', 'none.bank'), 'not found'),
    (('query', 'small.py', 'weights.pth', 'x.bank'), 'exactly one of'),
    (('query', 'small.py', 'weights.pth', 'x.bank', 'a/1.jpg', 'b/1.jpg'),
     'would share')])
def test_retrieve_instances_tool__names_what_is_wrong(built, words, error):
    done = _run(*[built / w if '.' in w else w for w in words])
    assert done.returncode != 0 and error in done.stderr
    assert 'Traceback' not in done.stderr


def test_retrieve_instances_tool__help_has_examples():
    done = _run('--help')
    assert 'Examples:' in done.stdout and '--bank-row 3 5' in done.stdout
