"""Files are whole or what they were, and stay in their folder."""
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from mmpixsort.utils.files import (only_builder, path_inside, remove_leftovers,
                                   result_names, write_image, write_whole)


def test_result_names__of_images_of_one_name(tmp_path, monkeypatch):
    for name in ('a/1.jpg', 'b/2.jpg', 'b/1.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert result_names(['a/1.jpg', 'b/2.jpg', 'a/1.jpg']) == ['1', '2', '1']
    with pytest.raises(FileNotFoundError, match="'b/3.jpg' not found"):
        result_names(['a/1.jpg', 'b/3.jpg'])
    with pytest.raises(ValueError, match="'a/1.jpg' and 'b/1.png' would sh"):
        result_names(['a/1.jpg', 'b/1.png'])


def test_write__replaces_text_and_bytes(tmp_path):
    path = tmp_path / 'new' / 'x.txt'
    write_whole(path, 'ä')
    assert path.read_text(encoding='utf-8') == 'ä'
    write_whole(path, b'\x00')
    assert path.read_bytes() == b'\x00'
    assert os.listdir(path.parent) == ['x.txt']
    other = tmp_path / 'other'
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_write__keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / 'x.txt'
    write_whole(path, 'old')

    def full(*_):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='disk full'):
        write_whole(path, 'new')
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['x.txt']


def test_write__survives_a_kill(tmp_path):
    path = tmp_path / 'x.txt'
    code = ('import sys\nfrom mmpixsort.utils.files import write_whole\n'
            'for i in range(10**9):\n'
            '    write_whole(sys.argv[1], str(i % 10) * 10**6)\n')
    process = subprocess.Popen([sys.executable, '-c', code, path])
    while not path.exists():
        time.sleep(.05)
    time.sleep(.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    text = path.read_text()
    assert len(text) == 10**6 and len(set(text)) == 1


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_write_image__is_read_back(tmp_path, dtype):
    image = np.arange(12, dtype=dtype).reshape(3, 4) * 20
    write_image(tmp_path / 'new' / 'x.png', image)
    assert np.array_equal(image, cv2.imread(
        str(tmp_path / 'new' / 'x.png'), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize('name', ['x', 'x.text'])
def test_write_image__unknown_format(tmp_path, name):
    with pytest.raises(ValueError, match='must have the suffix of a format'):
        write_image(tmp_path / name, np.zeros((2, 2), np.uint8))
    assert not any(tmp_path.iterdir())


def test_write_image__full_disk_raises(tmp_path, monkeypatch):
    def full(*_):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='disk full'):
        write_image(tmp_path / 'x.png', np.zeros((2, 2), np.uint8))
    assert not any(tmp_path.iterdir())


def test_leftovers_of_killed_processes_go(tmp_path):
    old, new = tmp_path / '.a.png.x.tmp', tmp_path / '.b.png.y.tmp'
    for path in (old, new, tmp_path / 'c.tmp'):
        path.touch()
    os.utime(old, (0, 0))
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ['.b.png.y.tmp', 'c.tmp']
    # who builds a file alone knows that it is not being written
    with only_builder(tmp_path / 'b.png'):
        assert not new.exists()


@pytest.mark.parametrize('name', ['a.png', 'a/b.png', './a.png', 'a..b'])
def test_path_inside__takes_relative_names(tmp_path, name):
    assert path_inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize('name', [
    '../a.png', 'a/../../b', '/etc/x', '', '.', '..', 'a/..'])
def test_path_inside__refuses_what_leaves(tmp_path, name):
    with pytest.raises(ValueError, match='stay inside'):
        path_inside(tmp_path, name)


def test_only_builder__refuses_a_second_process(tmp_path):
    out = tmp_path / 'new' / 'x.bank'
    code = ('import sys, time\n'
            'from mmpixsort.utils.files import only_builder\n'
            'with only_builder(sys.argv[1]):\n'
            '    print("in", flush=True)\n    time.sleep(60)\n')
    process = subprocess.Popen([sys.executable, '-c', code, out],
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'in\n'
    with pytest.raises(ValueError, match='written by another process'):
        with only_builder(out):
            raise AssertionError
    with only_builder(out, is_main=False):
        pass
    process.kill()
    process.wait()
    with only_builder(out):  # a killed process has let go of it
        pass
    assert not list(out.parent.iterdir())
