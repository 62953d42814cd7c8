"""Read files that may be damaged, or of a stranger."""
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence, Union

import torch


@contextmanager
def reading(path: Union[str, Path], what: str) -> Iterator[None]:
    """Turn whatever a damaged file raises into one error that names it.

    Errors that name the file already, a missing or locked file and missing
    packages are passed on.

    Args:
        path: The file.
        what: What the file must be: 'a word list'.

    Raises:
        ValueError: When what reads the file inside of the `with` raises.

    Example:
        >>> with reading('x.json', 'captions'):
        ...     {}['images']
        Traceback (most recent call last):
        ValueError: 'x.json' must be captions, but cannot be read (KeyError: \
'images'): it is cut off, changed, or something else
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
            f'({_short(error)}): it is cut off, changed, or something else'
        ) from error


def read_text(path: Union[str, Path], what: str) -> str:
    """Return a text file in UTF-8, with or without a byte order mark.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is in another encoding.
    """
    with reading(path, f'{what}, in UTF-8'):
        return Path(path).read_text(encoding='utf-8-sig')


def read_json(path: Union[str, Path], what: str) -> Any:
    """Return the content of a JSON file.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is no JSON.
    """
    with reading(path, what):
        return json.loads(read_text(path, what))


def check_entry(entry: Any, keys: Sequence[str], what: str) -> None:
    """Raise unless an entry of a JSON is an object with some keys.

    Args:
        entry: Entry of the file.
        keys: That it must have.
        what: Which entry of which file: "an image of 'x.json'".

    Raises:
        ValueError: When one of the keys is missing.

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
    """Return what `torch.save` wrote, tensors and plain types alone.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is damaged, or holds objects of other types.
    """
    with reading(path, f'{what}, of tensors and plain types'):
        return torch.load(path, map_location='cpu', weights_only=True)


def _short(error: Exception) -> str:
    """Return the kind of an error and its first sentence.

    What follows may advise to read the file without protection.
    """
    sentence = str(error).partition('\n')[0].partition('. ')[0][:160]
    if 'pickle' in sentence:
        sentence = 'it holds more than data'
    return f'{type(error).__name__}: {sentence}'.removesuffix(': ')
