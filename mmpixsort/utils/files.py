"""Write files whole or not at all."""
import os
import tempfile
from pathlib import Path
from typing import Union


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
