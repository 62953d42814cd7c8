"""Long work says how far it is."""
import pytest

from mmpixsort.utils import progress as module
from mmpixsort.utils.progress import progress


@pytest.fixture
def lines(monkeypatch):
    """Lines of the log, on a clock that runs a second an item."""
    said, clock = [], iter(range(1000))
    monkeypatch.setattr(module.time, 'monotonic', lambda: next(clock))
    monkeypatch.setattr(module, 'print_log', lambda text, _: said.append(text))
    monkeypatch.setenv('TTY_COMPATIBLE', '0')  # no terminal, for rich
    return said


@pytest.mark.parametrize('count, wanted', [(5, 0), (10, 0), (35, 3)])
def test_progress__a_line_every_ten_seconds(lines, count, wanted):
    with progress(count, 'embedding') as advance:
        for _ in range(count):
            advance()
    assert len(lines) == wanted
    if wanted:
        assert lines[0] == 'embedding: 10 of 35 images, 25 s left'


def test_progress__of_several_items_at_once(lines):
    with progress(100, 'describing', unit='captions') as advance:
        for _ in range(25):
            advance(4)
    assert lines[1] == 'describing: 80 of 100 captions, 5 s left'


def test_progress__of_another_rank_is_silent(lines, monkeypatch):
    monkeypatch.setattr(module, 'is_main_process', lambda: False)
    with progress(50, 'embedding') as advance:
        for _ in range(50):
            advance()
    assert lines == []


def test_progress__bar_of_a_terminal(lines, monkeypatch, capsys):
    monkeypatch.undo()
    monkeypatch.setenv('TTY_COMPATIBLE', '1')
    with progress(3, 'embedding') as advance:
        for _ in range(3):
            advance()
    assert 'embedding' in capsys.readouterr().out
