"""tools/download.py lists models and downloads them."""
import runpy
import sys
from pathlib import Path

import pytest
from zoo_server import running_server

from mmpixsort.apis.zoo.index import read_models

ROOT = Path(__file__).resolve().parents[2]
MODELS = read_models()
TRAINED = [model for model in MODELS.values() if model.weights]


@pytest.fixture
def tool(monkeypatch, capsys):
    """A function that runs the tool and returns what it prints."""
    def run(*words):
        monkeypatch.setattr(sys, 'argv', ['download.py', *map(str, words)])
        runpy.run_path(str(ROOT / 'tools/download.py'), run_name='__main__')
        return capsys.readouterr().out

    return run


@pytest.fixture
def entry():
    """The smallest model of the zoo."""
    if not TRAINED:
        pytest.skip('the zoo has no model yet')
    return min(TRAINED, key=lambda model: model.weights.size)


@pytest.fixture
def server(monkeypatch, entry):
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    with running_server() as zoo:
        for file in entry.files():
            zoo.files[file.name] = (ROOT / file.address).read_bytes()
        monkeypatch.setenv('MMPIXSORT_ZOO', zoo.url)
        yield zoo


def test_tool__lists_all_models_and_their_states(tool):
    lines = tool('--list').splitlines()
    assert [line.partition(':')[0] for line in lines] == list(MODELS)
    assert any(line.endswith('not trained') for line in lines)
    for model in TRAINED:
        line = next(r for r in lines if r.startswith(f'{model.name}: '))
        assert ' MB, ' in line and list(model.scores)[0] in line
    few = tool('--list', '--task', 'instance', '*sticks')
    assert few.startswith('discriminative_unet_1xb4-2000it_sticks: ')
    assert len(few.splitlines()) == 1


def test_tool__downloads_to_a_folder(tool, entry, server, tmp_path):
    server.cut = [1000]
    out = tool(entry.name, '--dest', tmp_path / 'new')
    for file in entry.files():
        path = tmp_path / 'new' / file.name
        assert path.read_bytes() == (ROOT / file.address).read_bytes()
        assert str(path) in out
    assert len(list((tmp_path / 'new').iterdir())) == len(entry.files())
    count = len(server.requests)
    tool(f'{entry.name[:-1]}?', '--dest', tmp_path / 'new')
    assert len(server.requests) == count


def test_tool__ends_in_a_line_for_a_changed_file(
        tool, entry, server, tmp_path):
    server.files[entry.weights.name] = b'other'
    with pytest.raises(SystemExit, match='error: .*SHA-256'):
        tool(entry.name, '--dest', tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('words, message', [
    (['no_such_model'], 'error: `name` must be a model of the zoo'),
    (['no_such_*'], 'error: NAME must fit a model with weights'),
    (['pixel-contrast_fcn-hr48_4xb2-40k_cityscapes-512x1024'],
     'error: .*has no trained weights.*not trained'),
    (['--list', '--task', 'depth'], 'error: `task` must be one of'),
])
def test_tool__ends_in_a_line_for_wrong_names(
        tool, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        tool(*words)
    assert list(tmp_path.iterdir()) == []


def test_tool__helps(tool, capsys):
    with pytest.raises(SystemExit):
        tool('--help')
    text = capsys.readouterr().out
    assert 'python tools/download.py --list' in text
    assert 'MMPIXSORT_ZOO' in text
    with pytest.raises(SystemExit):
        tool()
    assert 'name a model or a pattern' in capsys.readouterr().err
