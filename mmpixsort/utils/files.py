"""Write files completely or not at all, and check file names."""
import glob
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Sequence, Union

import cv2
import numpy as np
from filelock import FileLock, Timeout

STALE = 3600  # age in seconds at which an unfinished file is abandoned


def write_whole(path: Union[str, Path], data: Union[str, bytes]) -> None:
    """Write a file completely, or leave it as it was if writing fails.

    The data are flushed to a temporary file in the same folder, which then
    replaces `path` by a rename. A killed process or a stopped machine
    therefore never leaves a half-written file.

    Args:
        path: Path of the file; its folder is created if it does not exist.
        data: Bytes, or text, which is written as UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp lets only the owner read, unlike open
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_image(path: Union[str, Path], image: np.ndarray) -> None:
    """Write an image file completely or not at all.

    Args:
        path: Path of the file, whose suffix determines the format.
        image: (H, W) grey or (H, W, 3) BGR image, uint8 or uint16.

    Raises:
        ValueError: If the format is unknown or cannot store the image.
    """
    path = Path(path)
    try:
        done, data = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise ValueError(
            f'{str(path)!r} must have the suffix of a format that can store '
            f'{image.dtype} of shape {image.shape}, such as .png') from error
    if not done:
        raise ValueError(f'{str(path)!r} cannot be encoded')
    write_whole(path, data.tobytes())


def remove_leftovers(folder: Union[str, Path]) -> None:
    """Remove the temporary files that killed processes left in a folder.

    Args:
        folder: Folder to clean, without its subfolders. Files that are less
            than an hour old are kept, as they may still be in use.
    """
    for path in Path(folder).glob('.*.tmp'):
        if time.time() - path.stat().st_mtime > STALE:
            path.unlink(missing_ok=True)


@contextmanager
def only_builder(out: Union[str, Path],
                 is_main: bool = True) -> Iterator[None]:
    """Lock a file that takes long to build, so that one process builds it.

    The lock is a file ``.NAME.lock`` beside it. It is released at the end of
    the block, and also if the process is killed.

    Args:
        out: Path of the file that is built; its folder is created.
        is_main: Whether this process takes the lock. Of the ranks of a
            distributed run, only one must do so.

    Raises:
        ValueError: If another process holds the lock.
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
    for leftover in path.parent.glob(f'.{glob.escape(path.name)}.*.tmp'):
        leftover.unlink(missing_ok=True)  # a killed process left it
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def path_inside(folder: Union[str, Path], name: str) -> Path:
    """Return the path of a file in a folder, and refuse names outside of it.

    Use it for names from untrusted files.

    Args:
        folder: Path of the folder.
        name: Path of the file relative to the folder.

    Raises:
        ValueError: If the name is empty or absolute, or contains `..`.

    Example:
        >>> path_inside('out', 'a/b.png').as_posix()
        'out/a/b.png'
    """
    path = Path(name)
    if path.is_absolute() or not path.name or '..' in path.parts:
        raise ValueError('a file name must be relative and stay inside '
                         f'{str(folder)!r}, got {name!r}')
    return Path(folder) / path


def ends_with_path(path: str, end: str) -> bool:
    """Tell whether the last parts of a path equal those of `end`.

    Example:
        >>> ends_with_path('data/val/11.jpg', '1.jpg')
        False
        >>> ends_with_path('data/val/11.jpg', 'val/11.jpg')
        True
    """
    parts, last = (
        Path(name.replace('\\', '/')).parts for name in (path, end))
    return bool(last) and parts[-len(last):] == last


def result_names(paths: Sequence[Union[str, Path]]) -> List[str]:
    """Return the name without suffix of each image, to name its results.

    Call it before a model is loaded, so that a wrong path is an error at
    once.

    Raises:
        FileNotFoundError: If an image does not exist.
        ValueError: If two different images have the same name.
    """
    owners = {}
    for path in paths:
        other = owners.setdefault(Path(path).stem, str(path))
        if other != str(path):
            raise ValueError(
                f'{other!r} and {str(path)!r} would share the results named '
                f'{Path(path).stem!r}: write them to different folders')
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(f'image {str(path)!r} not found')
    return [Path(path).stem for path in paths]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
