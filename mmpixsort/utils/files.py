"""Write files whole or not at all, by one process, where they belong."""
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from filelock import FileLock, Timeout


def write_whole(path: Union[str, Path], data: Union[str, bytes]) -> None:
    """Write a file so that it holds all of `data` or what it held before.

    The data go to a temporary file of the same folder, to the disk, and take
    the place of `path` by a rename, which neither a killed process nor a
    stopped machine can cut in two.

    Args:
        path: The file; its folder is made if absent.
        data: Text, written as UTF-8, or bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp lets nobody else read; a result is for everybody
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def only_builder(out: Union[str, Path],
                 is_main: bool = True) -> Iterator[None]:
    """Let one process at a time fill a place that takes long to fill.

    Args:
        out: The file that is built; ``.NAME.lock`` lies beside it meanwhile,
            and a process that is killed lets go of it.
        is_main: Whether this process is the one of its group to ask.

    Raises:
        ValueError: When another process builds it.
    """
    if not is_main:
        yield
        return
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f'.{path.name}.lock'), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f'`out` {str(out)!r} is being written by another '
                         'process: wait for it, or choose another file'
                         ) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def path_inside(folder: Union[str, Path], name: str) -> Path:
    """Return the path of a file below a folder.

    Args:
        folder: The folder.
        name: Relative, as a JSON file of strangers may give it.

    Raises:
        ValueError: When the name leaves the folder.

    Example:
        >>> path_inside('out', 'a/b.png').as_posix()
        'out/a/b.png'
    """
    path = Path(name)
    if path.is_absolute() or not path.name or '..' in path.parts:
        raise ValueError('a file name must be relative and stay inside '
                         f'{str(folder)!r}, got {name!r}')
    return Path(folder) / path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
