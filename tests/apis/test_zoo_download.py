"""Files of the zoo arrive whole and verified, or not at all."""
import hashlib
import random

import pytest
from zoo_server import running_server

from mmpixsort.apis.zoo import http_file
from mmpixsort.apis.zoo.download import fetch
from mmpixsort.apis.zoo.index import ZooFile
from mmpixsort.apis.zoo.place import locate

NAME = 'x_20240203-0a1b2c3d.pth'
CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)


def file_of(content=CONTENT, address=f'model_zoo/{NAME}'):
    return ZooFile(address, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def server(monkeypatch):
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    with running_server() as zoo:
        zoo.files[NAME] = CONTENT
        monkeypatch.setenv('MMPIXSORT_ZOO', zoo.url)
        yield zoo


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_complete(path, folder):
    assert path == folder / NAME
    assert path.read_bytes() == CONTENT
    assert files_in(folder) == [NAME]


def test_download__writes_the_file_and_nothing_else(server, tmp_path):
    assert_complete(fetch(file_of(), tmp_path), tmp_path)
    assert len(server.requests) == 1
    fetch(file_of(), tmp_path)
    assert len(server.requests) == 1  # it is there and intact


def test_download__goes_to_the_cache_of_torch(server, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    assert_complete(fetch(file_of()), tmp_path / 'hub' / 'checkpoints')


def test_download__replaces_a_damaged_file(server, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b'x')
    assert_complete(fetch(file_of(), tmp_path), tmp_path)


def test_download__continues_by_itself_after_a_break(server, tmp_path):
    server.cut = [100_000]
    assert_complete(fetch(file_of(), tmp_path), tmp_path)
    first, second = server.requests
    assert 'Range' not in first
    assert second['Range'] == 'bytes=100000-'
    assert second['If-Range'].startswith('"')


def test_download__keeps_what_arrived_and_says_how_to_resume(
        server, tmp_path):
    server.cut = [50_000, 50_000, 50_000]
    with pytest.raises(ConnectionError, match='150000 of 300000 bytes.*'
                       'repeat the command'):
        fetch(file_of(), tmp_path)
    assert files_in(tmp_path) == [f'{NAME}.part', f'{NAME}.part.tag']
    assert_complete(fetch(file_of(), tmp_path), tmp_path)
    assert server.requests[-1]['Range'] == 'bytes=150000-'


def test_download__starts_again_without_ranges(server, tmp_path):
    server.ranges = False
    server.cut = [100_000, None]
    assert_complete(fetch(file_of(), tmp_path), tmp_path)
    assert 'Range' in server.requests[1]


def test_download__of_a_server_without_tag(server, tmp_path):
    server.tag = ''
    server.cut = [100_000]
    assert_complete(fetch(file_of(), tmp_path), tmp_path)
    assert 'If-Range' not in server.requests[1]


def test_download__ignores_a_weak_tag(server, tmp_path):
    server.tag = 'W/"1"'
    server.cut = [100_000]
    assert_complete(fetch(file_of(), tmp_path), tmp_path)
    assert 'If-Range' not in server.requests[1]


def test_download__sees_that_the_length_was_too_large(server, tmp_path):
    server.says = 400_000
    assert_complete(fetch(file_of(), tmp_path), tmp_path)


def test_download__goes_on_where_the_length_was_too_small(server, tmp_path):
    server.says = 200_000
    assert_complete(fetch(file_of(), tmp_path), tmp_path)


def test_download__refuses_a_changed_file(server, tmp_path):
    server.files[NAME] = OTHER
    wrong = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(ValueError, match=f'(?s)SHA-256.*{wrong}.*removed'):
        fetch(file_of(), tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize('ranges', [True, False])
@pytest.mark.parametrize('size', [0, 1000, 299_999, 300_001, 900_000])
def test_download__refuses_a_file_of_another_size(
        server, tmp_path, size, ranges):
    server.ranges = ranges
    server.files[NAME] = (3 * CONTENT)[:size]
    with pytest.raises((ValueError, ConnectionError)):
        fetch(file_of(), tmp_path)
    assert NAME not in files_in(tmp_path)
    assert not any('part' in name for name in files_in(tmp_path))


@pytest.mark.parametrize('tag', [None, ''])
def test_download__survives_a_change_between_two_pieces(
        server, tmp_path, tag):
    server.tag = tag
    server.files[NAME] = OTHER
    server.cut = [100_000, 0]
    with pytest.raises(ConnectionError):
        fetch(file_of(), tmp_path)
    server.files[NAME] = CONTENT
    assert_complete(fetch(file_of(), tmp_path), tmp_path)


def test_download__discards_a_part_that_is_too_long(server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(OTHER + OTHER)
    assert_complete(fetch(file_of(), tmp_path), tmp_path)


def test_download__names_a_file_that_is_missing(server, tmp_path):
    server.files.clear()
    with pytest.raises(FileNotFoundError, match=f'{NAME}.*404'):
        fetch(file_of(), tmp_path)
    assert files_in(tmp_path) == []


def test_download__names_an_error_of_the_server(server, tmp_path):
    server.status = 503
    with pytest.raises(ConnectionError, match='503'):
        fetch(file_of(), tmp_path)
    assert files_in(tmp_path) == []


def test_download__names_a_server_that_is_not_there(
        server, tmp_path, monkeypatch):
    monkeypatch.setenv('MMPIXSORT_ZOO', 'http://127.0.0.1:9')
    with pytest.raises(ConnectionError, match='cannot be reached'):
        fetch(file_of(), tmp_path)
    assert files_in(tmp_path) == []


def test_download__gives_up_a_silent_server(server, tmp_path, monkeypatch):
    import socket
    monkeypatch.setattr(http_file, 'TIMEOUT', .2)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv('MMPIXSORT_ZOO', f'http://127.0.0.1:{port}')
        with pytest.raises(ConnectionError, match='timed out'):
            fetch(file_of(), tmp_path)


def test_place__a_mirror_folder_is_used_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv('MMPIXSORT_ZOO', str(tmp_path))
    (tmp_path / NAME).write_bytes(CONTENT)
    assert fetch(file_of()) == tmp_path / NAME
    out = tmp_path / 'out'
    assert_complete(fetch(file_of(), out), out)


def test_place__a_damaged_file_of_a_mirror_is_an_error(
        tmp_path, monkeypatch):
    monkeypatch.setenv('MMPIXSORT_ZOO', str(tmp_path))
    (tmp_path / NAME).write_bytes(CONTENT[:1000])
    for folder in (None, tmp_path / 'out'):
        with pytest.raises(ValueError, match='SHA-256.*cut off'):
            fetch(file_of(), folder)
    assert files_in(tmp_path) == [NAME]


def test_place__names_an_unknown_scheme_and_a_missing_file(
        tmp_path, monkeypatch):
    monkeypatch.setenv('MMPIXSORT_ZOO', 'ftp://a.b')
    with pytest.raises(ValueError, match='MMPIXSORT_ZOO must be'):
        locate(file_of())
    monkeypatch.setenv('MMPIXSORT_ZOO', str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f'{NAME}.*MMPIXSORT_ZOO'):
        locate(file_of())


def test_place__by_default_is_this_package_or_the_address(monkeypatch):
    monkeypatch.delenv('MMPIXSORT_ZOO', raising=False)
    with pytest.raises(FileNotFoundError, match='Set MMPIXSORT_ZOO'):
        locate(file_of())
    address = f'https://a.b/zoo/{NAME}'
    assert locate(file_of(address=address)) == address
