"""Read and write files of named tensors and a text, without pickles.

A path that ends in .npz is an archive of NumPy arrays; any other is a
safetensors file. Equal contents give equal files.
"""
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Collection, Dict, Mapping, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from .archives import stored_arrays
from .extras import extra_error
from .files import write_whole
from .reading import reading

TEXT = 'mmpixsort'  # key of the text in the metadata of safetensors
ARRAY = 'meta'  # name of the array in an .npz with the bytes of the text


def save_tensors(path: Union[str, Path], tensors: Mapping[str, Tensor],
                 text: str = '') -> None:
    """Write tensors and a text to a file, completely or not at all.

    Args:
        path: Path of the file, which ends in .npz, or in anything else for
            safetensors.
        tensors: Tensors on the CPU, by name.
        text: Text to store with them.

    Raises:
        ImportError: If safetensors is needed but not installed.
    """
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    if Path(path).suffix == '.npz':
        content = _npz_bytes(tensors, text)
    else:
        content = safetensors_package().torch.save(
            tensors, metadata={TEXT: text})
    write_whole(path, content)


def load_tensors(path: Union[str, Path],
                 names: Collection[str]) -> Tuple[Dict[str, Tensor], str]:
    """Return tensors by name and the text that :func:`save_tensors` wrote.

    Args:
        path: Path of the file.
        names: Names of the tensors to read; others are not read.

    Raises:
        ImportError: If safetensors is needed but not installed.
        Exception: If a tensor is missing or the file is damaged. The type
            varies; :func:`mmpixsort.utils.reading.reading` unifies it.
    """
    if Path(path).suffix == '.npz':
        arrays = stored_arrays(path, (*names, ARRAY))
        text = arrays.pop(ARRAY).tobytes().decode()
        return {k: torch.from_numpy(v) for k, v in arrays.items()}, text
    with safetensors_package().safe_open(path, framework='pt') as file:
        return ({name: file.get_tensor(name) for name in names},
                file.metadata()[TEXT])


def write_table(path: Union[str, Path], tensors: Mapping[str, Tensor],
                meta: Mapping) -> None:
    """Write tensors, meta data and a digest of both to a file.

    It is written completely or not at all.

    Args:
        path: Path of the file, which ends in .npz, or in anything else for
            safetensors.
        tensors: Tensors on the CPU, by name.
        meta: Meta data of JSON types.

    Raises:
        ImportError: If safetensors is needed but not installed.
    """
    digest = _digest(tensors, meta)
    save_tensors(path, tensors,
                 json.dumps(dict(meta, digest=digest), sort_keys=True))


def read_table(path: Union[str, Path], names: Collection[str], *, what: str,
               remedy: str) -> Tuple[Dict[str, Tensor], Dict]:
    """Return the tensors and meta data that :func:`write_table` wrote.

    Args:
        path: Path of the file.
        names: Names of all tensors of the file.
        what: Expected content of the file, such as 'a bank of mmpixsort'.
        remedy: Advice for the error message on how to get such a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is truncated, was changed, or is another kind
            of file.
        ImportError: If safetensors is needed but not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{str(path)!r} not found; {remedy}')
    with reading(path, what):
        tensors, text = load_tensors(path, names)
        meta = json.loads(text)
        digest = meta.pop('digest')
    if _digest(tensors, meta) != digest:
        raise ValueError(f'{str(path)!r} was changed after it was written: '
                         f'its digest differs; {remedy}')
    return tensors, meta


def safetensors_package():
    """Return the package safetensors.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise extra_error('a file that does not end in .npz needs safetensors',
                          'safetensors', error) from error
    return safetensors


def _digest(tensors: Mapping[str, Tensor], meta: Mapping) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name, value in tensors.items():
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _npz_bytes(tensors: Mapping[str, Tensor], text: str) -> bytes:
    """Return an .npz file that, unlike np.savez, stores no time."""
    arrays = {name: value.numpy() for name, value in tensors.items()}
    arrays[ARRAY] = np.frombuffer(text.encode(), np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.save(part, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f'{name}.npy', (1980, 1, 1, 0, 0, 0))
            file.writestr(entry, part.getvalue())
    return buffer.getvalue()
