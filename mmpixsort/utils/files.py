"""Write files whole or not at all, by one process, where they belong."""
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

STALE = 3600  # seconds after which a file that is being written is not


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
        dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
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


def write_image(path: Union[str, Path], image: np.ndarray) -> None:
    """Write an image, whole or not at all.

    Args:
        path: Its suffix says the format.
        image: (H, W) or (H, W, 3) in the order BGR, uint8 or uint16, as
            OpenCV has it.

    Raises:
        ValueError: When the format cannot hold the image.
    """
    path = Path(path)
    try:
        done, data = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise ValueError(
            f'{str(path)!r} must end on a format of OpenCV that holds '
            f'{image.dtype} of shape {image.shape}, such as .png') from error
    if not done:
        raise ValueError(f'{str(path)!r} cannot be encoded')
    write_whole(path, data.tobytes())


def remove_leftovers(folder: Union[str, Path]) -> None:
    """Remove what killed processes left of files that they were writing.

    Args:
        folder: Folder whose unfinished files, older than an hour, are removed;
            not those of folders in it.
    """
    for path in Path(folder).glob('.*.tmp'):
        if time.time() - path.stat().st_mtime > STALE:
            path.unlink(missing_ok=True)


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
    for leftover in path.parent.glob(f'.{glob.escape(path.name)}.*.tmp'):
        leftover.unlink(missing_ok=True)  # of a killed builder
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


def ends_with_path(path: str, end: str) -> bool:
    """Tell whether a path is `end`, or has it as its last folders and name.

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
    """Return the name without ending of each file, for results about it.

    Raises:
        ValueError: When two files would share a name.
    """
    owners = {}
    for path in paths:
        other = owners.setdefault(Path(path).stem, str(path))
        if other != str(path):
            raise ValueError(
                f'{other!r} and {str(path)!r} would share the results named '
                f'{Path(path).stem!r}: write them to different folders')
    return [Path(path).stem for path in paths]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
