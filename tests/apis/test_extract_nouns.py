"""Extraction of nouns: resumed runs give the same bytes; the tool."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmpixsort.apis import extract_nouns as module
from mmpixsort.apis.extract_nouns import extract_nouns
from mmpixsort.text.captions import read_captions
from mmpixsort.text.nouns import LexiconExtractor
from mmpixsort.utils.files import only_builder

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'extract_nouns.py'
TEXTS = ('A dog\u2028and its ball', 'Zwei Cafés', '', 'dogs "and" dogs')


class Killed(Exception):
    pass


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / 'captions.jsonl'
    path.write_text(''.join(
        json.dumps(dict(img_path=f'{i}.jpg', caption=TEXTS[i % 4])) + '\n'
        for i in range(50)))
    return path


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(module, 'CHUNK', 7)


@pytest.fixture(scope='module')
def extractor():
    return LexiconExtractor(['dog', 'ball', 'café'])


def _die_after(count):
    def progress(done, total):
        if done >= count:
            raise Killed
    return progress


def test_extract_nouns__writes_and_counts(captions, extractor, tmp_path):
    seen = []
    out = tmp_path / 'new' / 'nouns.jsonl'
    found = extract_nouns(
        captions, out, extractor, progress=lambda *step: seen.append(step))
    assert found[:3] == (50, 50, 12)
    assert found.counts == dict(dog=25, ball=13, café=13)
    assert seen[0] == (0, 50) and seen[-1] == (50, 50)
    read = list(read_captions(out))
    assert [c.text for c in read[:4]] == list(TEXTS)
    assert [c.nouns for c in read[:4]] == [
        ('dog', 'ball'), ('café', ), (), ('dog', )]
    assert [path.name for path in out.parent.iterdir()] == ['nouns.jsonl']


@pytest.mark.parametrize('dies_at', [(0, ), (7, ), (21, 21, 42), (50, )])
@pytest.mark.parametrize('torn', [b'', b'{"img_path": "9', b'\xe2\x80'])
def test_extract_nouns__resumes_to_the_same_bytes(
        captions, extractor, tmp_path, dies_at, torn):
    whole, out = tmp_path / 'whole.jsonl', tmp_path / 'cut.jsonl'
    extract_nouns(captions, whole, extractor)
    for count in dies_at:
        with pytest.raises(Killed):
            extract_nouns(
                captions, out, extractor, progress=_die_after(count))
        assert not out.exists()
        with open(f'{out}.part', 'ab') as file:
            file.write(torn)
    steps = []
    found = extract_nouns(
        captions, out, extractor, progress=lambda *step: steps.append(step))
    assert steps[0] == (max(dies_at), 50)
    assert out.read_bytes() == whole.read_bytes()
    assert found.num_captions == 50


def test_extract_nouns__killed_process(captions, extractor, tmp_path):
    whole, out = tmp_path / 'whole.jsonl', tmp_path / 'cut.jsonl'
    extract_nouns(captions, whole, extractor)
    code = f"""
import os
from mmpixsort.apis import extract_nouns as module
from mmpixsort.text.nouns import LexiconExtractor
from mmpixsort.utils.files import only_builder
module.CHUNK = 7
module.extract_nouns(
    {str(captions)!r}, {str(out)!r}, LexiconExtractor(['dog', 'ball', 'café']),
    progress=lambda done, total: done >= 14 and os.kill(os.getpid(), 9))
"""
    done = subprocess.run([sys.executable, '-c', code], check=False)
    assert done.returncode == -9 and not out.exists()
    steps = []
    extract_nouns(
        captions, out, extractor, progress=lambda *step: steps.append(step))
    assert steps[0] == (14, 50)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize('change', ['words', 'captions'])
def test_extract_nouns__starts_anew_on_other_input(
        captions, extractor, tmp_path, change):
    out = tmp_path / 'out.jsonl'
    with pytest.raises(Killed):
        extract_nouns(captions, out, extractor, progress=_die_after(21))
    if change == 'words':
        extractor = LexiconExtractor(['ball'])
    else:
        captions.write_text(captions.read_text().replace('ball', 'dog'))
    steps = []
    extract_nouns(
        captions, out, extractor, progress=lambda *step: steps.append(step))
    assert steps[0] == (0, 50)
    nouns = {noun for c in read_captions(out) for noun in c.nouns}
    assert nouns == ({'ball'} if change == 'words' else {'dog', 'café'})


def test_extract_nouns__bad_paths(captions, extractor, tmp_path):
    out = tmp_path / 'out.jsonl'
    with pytest.raises(ValueError, match='end in .jsonl'):
        extract_nouns(captions, tmp_path / 'out.csv', extractor)
    with pytest.raises(ValueError, match='another file'):
        extract_nouns(captions, captions, extractor)
    out.touch()
    with pytest.raises(FileExistsError, match='--overwrite'):
        extract_nouns(captions, out, extractor)
    extract_nouns(captions, out, extractor, overwrite=True)
    assert len(list(read_captions(out))) == 50


def test_extract_nouns__wrong_line_is_found_before_the_work(
        captions, extractor, tmp_path):
    with captions.open('a') as file:
        file.write('{}\n')
    with pytest.raises(ValueError, match=':51: expected a string'):
        extract_nouns(captions, tmp_path / 'out.jsonl', extractor)
    assert not list(tmp_path.glob('out*'))


def test_extract_nouns__coco(shared_data, tmp_path):
    path = shared_data / 'coco_mini' / 'annotations' / 'captions_val.json'
    if not path.is_file():
        pytest.skip(f'no {path}')
    found = extract_nouns(
        path, tmp_path / 'out.jsonl', LexiconExtractor.from_file())
    assert found.num_captions == 165 and found.num_images == 33
    # everyday nouns: few captions have none
    assert found.num_without_nouns < .05 * found.num_captions


def _run(*words):
    return subprocess.run([sys.executable, TOOL, *map(str, words)],
                          capture_output=True, text=True, check=False)


def test_extract_nouns_tool__counts_and_repeats(captions, tmp_path):
    words, out = tmp_path / 'words.txt', tmp_path / 'out.jsonl'
    words.write_text('dog\nball\ncafé: coffee house\n', encoding='utf-8')
    done = _run(captions, '--lexicon', words, '--out', out)
    assert done.returncode == 0, done.stderr
    assert '24.0% of the captions without any' in ' '.join(
        done.stdout.split())
    assert '50 captions of 50 images' in done.stdout
    again = _run(captions, '--lexicon', words, '--out', out)
    assert again.returncode != 0 and '--overwrite' in again.stderr
    assert 'Traceback' not in again.stderr


def test_extract_nouns_tool__help_has_an_example():
    done = _run('--help')
    assert 'Examples:' in done.stdout and '--lexicon words.txt' in done.stdout


def test_extract_nouns__one_process_at_a_time(captions, tmp_path, extractor):
    out = tmp_path / 'nouns.jsonl'
    with only_builder(out):
        with pytest.raises(ValueError, match='written by another process'):
            extract_nouns(captions, out, extractor)
    assert not out.exists()
    extract_nouns(captions, out, extractor)
