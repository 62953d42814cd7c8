"""Read files that may be damaged or come from untrusted sources."""
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence, Union

import torch


@contextmanager
def reading(path: Union[str, Path], what: str) -> Iterator[None]:
    """Turn any error while reading a damaged file into one that names it.

    Some errors are raised unchanged: ImportError, ValueError that names the
    file already, and errors about a file that is missing, a folder or not
    permitted.

    Args:
        path: Path of the file that the block reads.
        what: Expected content of the file, such as 'a word list'.

    Raises:
        ValueError: If the block raises any other error.

    Example:
        >>> with reading('x.json', 'captions'):
        ...     {}['images']
        Traceback (most recent call last):
        ValueError: 'x.json' must be captions, but cannot be read (KeyError: \
'images'): it is truncated, was changed, or is another kind of file
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        is_known = isinstance(error, ValueError) and str(path) in str(error)
        of_system = isinstance(error, (
            FileNotFoundError, IsADirectoryError, PermissionError))
        if is_known or of_system:
            raise
        raise ValueError(
            f'{str(path)!r} must be {what}, but cannot be read '
            f'({_short(error)}): it is truncated, was changed, or is another '
            'kind of file'
        ) from error


def read_text(path: Union[str, Path], what: str) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Args:
        path: Path of the file.
        what: Expected content of the file, such as 'a word list'.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not in UTF-8.
    """
    with reading(path, f'{what}, in UTF-8'):
        return Path(path).read_text(encoding='utf-8-sig')


def read_json(path: Union[str, Path], what: str) -> Any:
    """Return the content of a JSON file.

    Args:
        path: Path of the file.
        what: Expected content of the file, such as 'captions'.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not valid JSON.
    """
    with reading(path, what):
        return json.loads(read_text(path, what))


def check_entry(entry: Any, keys: Sequence[str], what: str) -> None:
    """Raise ValueError unless an entry of a JSON file has the given keys.

    Args:
        entry: Entry, as read from the file.
        keys: Keys that it must have.
        what: Name of entry and file, such as "an image of 'x.json'".

    Raises:
        ValueError: If the entry is no object or lacks a key.

    Example:
        >>> check_entry(dict(id=3), ('id', 'height'), "an image of 'x.json'")
        Traceback (most recent call last):
        ValueError: an image of 'x.json' must have `height`, got {'id': 3}
    """
    lacking = [key for key in keys
               if not isinstance(entry, dict) or key not in entry]
    if lacking:
        shown = repr(entry)
        shown = shown if len(shown) <= 120 else f'{shown[:120]}...'
        raise ValueError(
            f'{what} must have {", ".join(f"`{key}`" for key in lacking)}, '
            f'got {shown}')


def read_tensors(path: Union[str, Path], what: str) -> Any:
    """Return the tensors and plain values that `torch.save` wrote.

    Args:
        path: Path of the file.
        what: Expected content of the file, such as 'a checkpoint'.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or holds objects of other types.
    """
    with reading(path, f'{what}, of tensors and plain types'):
        return torch.load(path, map_location='cpu', weights_only=True)


def _short(error: Exception) -> str:
    """Return the type of an error and the first sentence of its message.

    The rest is left out: it may advise to load the file without protection.
    """
    sentence = str(error).partition('\n')[0].partition('. ')[0][:160]
    if 'pickle' in sentence:
        sentence = 'it holds more than data'
    return f'{type(error).__name__}: {sentence}'.removesuffix(': ')
