"""Download one file by HTTP, with resume, complete or not at all.

What has arrived lies in ``NAME.part`` beside the file. A later call asks the
server for the rest of it. The file gets its name when its SHA-256 is right.
"""
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO, Callable, NamedTuple

import mmpixsort
from mmpixsort.utils.files import only_builder
from mmpixsort.utils.progress import progress
from mmpixsort.utils.publish import sha256

from .index import ZooFile

BLOCK = 1 << 16
TIMEOUT = 30.  # seconds without a byte after which a server is given up
TRIES = 3  # calls of the server, each of which continues the one before
KILO = 1000


class Broken(ConnectionError):
    """Raised if a transfer ended before the file was complete.

    Attributes:
        said_complete: Whether the server says that this was all.
    """

    def __init__(self, text: str, said_complete: bool = False) -> None:
        super().__init__(text)
        self.said_complete = said_complete


class Part(NamedTuple):
    """The unfinished file.

    Attributes:
        path: Path of what has arrived.
        tag: Path of the text that identifies the version of the server.
    """

    path: Path
    tag: Path

    @property
    def size(self) -> int:
        """Number of bytes that have arrived."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def remove(self) -> None:
        """Remove both files."""
        self.path.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


def download_file(url: str, file: ZooFile, target: Path) -> Path:
    """Download a file, or the rest of it, and verify it.

    Args:
        url: URL of the file.
        file: Name, size and hash that the file must have.
        target: Path to write.

    Returns:
        `target`.

    Raises:
        FileNotFoundError: If the server does not have the file.
        ConnectionError: If the transfer breaks off. What has arrived is
            kept, and a later call continues.
        ValueError: If the file that has arrived is another one, which is
            removed; or if another process is downloading it.
    """
    part = Part(target.with_name(f'{target.name}.part'),
                target.with_name(f'{target.name}.part.tag'))
    with only_builder(target):
        joined = _complete(url, file, part)
        found = sha256(part.path)
        if found != file.sha256 and joined:
            # the pieces may be of different versions: once more, from 0
            part.remove()
            _complete(url, file, part)
            found = sha256(part.path)
        if found != file.sha256:
            size = part.size
            part.remove()
            raise ValueError(
                f'{url} must be the file with the SHA-256 {file.sha256} '
                f'({file.size} bytes), but {size} bytes with {found} '
                'arrived and were removed: the server has another version, '
                'or changed them on the way')
        part.path.replace(target)
        part.remove()
    return target


def _complete(url: str, file: ZooFile, part: Part) -> bool:
    """Call the server until the part has its full size, or the server's.

    Returns:
        Whether the part consists of several pieces.

    Raises:
        ConnectionError: If a transfer breaks off without any progress, or
            too often.
    """
    if part.size > file.size:
        part.remove()
    pieces = int(part.size > 0)
    with progress(max(file.size // KILO, 1), file.name, unit='kB') as advance:
        count = _Kilobytes(advance)
        count.add(part.size)
        while part.size < file.size:
            before = part.size
            pieces += 1
            try:
                _transfer(url, file, part, count)
            except Broken as error:
                if part.size > before and pieces < TRIES:
                    continue
                if error.said_complete:  # it is shorter: the hash decides
                    break
                raise ConnectionError(_advice(url, file, part, error)
                                      ) from error
    return pieces > 1


def _advice(url: str, file: ZooFile, part: Part, error: Broken) -> str:
    if part.size == 0:
        return f'{url} cannot be reached ({error})'
    return (f'the download of {url} broke off after {part.size} of '
            f'{file.size} bytes ({error}). They are kept in '
            f'{str(part.path)!r}: repeat the command to continue from there')


def _transfer(url: str, file: ZooFile, part: Part,
              count: '_Kilobytes') -> None:
    """Ask for what is missing, and append it."""
    start = part.size
    request = urllib.request.Request(url, headers={
        'User-Agent': f'mmpixsort/{mmpixsort.__version__}',
        # a compressed answer would have other lengths
        'Accept-Encoding': 'identity'
    })
    if start:
        request.add_header('Range', f'bytes={start}-')
        if part.tag.is_file():
            request.add_header('If-Range', part.tag.read_text())
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            if start and not _continues(answer, start):
                start = 0  # the server sends all of it
            _remember(answer, part)
            part.path.parent.mkdir(parents=True, exist_ok=True)
            with open(part.path, 'ab' if start else 'wb') as out:
                if not start:
                    count.restart()
                _copy(answer, out, file.size - start, count)
            said_complete = answer.length == 0
    except urllib.error.HTTPError as error:
        if error.code == 416:  # its file is no longer than the part
            raise Broken('its file is shorter', said_complete=True) from error
        kind = FileNotFoundError if error.code in (
            403, 404, 410) else ConnectionError
        raise kind(f'{url} cannot be downloaded: the server says '
                   f'{error.code} {error.reason}') from error
    except (http.client.HTTPException, urllib.error.URLError,
            OSError) as error:
        reason = getattr(error, 'reason', None) or error
        raise Broken(f'{type(error).__name__}: {reason}') from error
    if part.size < file.size:
        raise Broken('the connection was closed', said_complete)


def _continues(answer: http.client.HTTPResponse, start: int) -> bool:
    """Return whether an answer starts with the byte that was asked for."""
    ranges = answer.headers.get('Content-Range', '')
    return answer.status == 206 and ranges.startswith(f'bytes {start}-')


def _remember(answer: http.client.HTTPResponse, part: Part) -> None:
    """Keep what identifies the version of the file, for `If-Range`."""
    tag = answer.headers.get('ETag') or ''
    if tag.startswith('W/'):  # says nothing about single bytes
        tag = ''
    tag = tag or answer.headers.get('Last-Modified') or ''
    part.tag.parent.mkdir(parents=True, exist_ok=True)
    if tag:
        part.tag.write_text(tag)
    else:
        part.tag.unlink(missing_ok=True)


def _copy(answer: BinaryIO, out: BinaryIO, missing: int,
          count: '_Kilobytes') -> None:
    """Copy at most one byte more than is missing, which the hash shows."""
    missing += 1
    while missing > 0 and (block := answer.read(min(BLOCK, missing))):
        out.write(block)
        missing -= len(block)
        count.add(len(block))


class _Kilobytes:
    """Report bytes to a progress bar that counts kilobytes."""

    def __init__(self, advance: Callable[..., None]) -> None:
        self.advance = advance
        self.bytes = self.shown = 0

    def add(self, count: int) -> None:
        """Count bytes that have arrived."""
        self.bytes += count
        whole = self.bytes // KILO
        if whole > self.shown:
            self.advance(whole - self.shown)
            self.shown = whole

    def restart(self) -> None:
        """Count from 0 again; the bar waits until it is passed."""
        self.bytes = 0
