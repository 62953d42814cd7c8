"""Tables on disk: tensors by name and a text, never pickled.

A path that ends in .npz holds NumPy arrays, any other is safetensors. Equal
tables give equal files.
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
ARRAY = 'meta'  # name of the array of its bytes in an .npz


def save_tensors(path: Union[str, Path], tensors: Mapping[str, Tensor],
                 text: str = '') -> None:
    """Write tensors and a text, whole or not at all.

    Args:
        path: .npz, or any other ending for safetensors.
        tensors: On the CPU, by name.
        text: What is kept beside them.

    Raises:
        ImportError: When safetensors is needed and missing.
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
    """Return what :func:`save_tensors` wrote: tensors by name, and the text.

    Args:
        path: The file; what else it holds is not read.
        names: Names of the tensors, all of which must be there.

    Raises:
        ImportError: When safetensors is needed and missing.
        Exception: Whatever the reader raises about a damaged file; see
            :func:`mmpixsort.utils.reading.reading`.
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
    """Write tensors and meta with a digest of both, whole or not at all.

    Args:
        path: .npz, or any other ending for safetensors.
        tensors: On the CPU, by name.
        meta: Entries of JSON types.

    Raises:
        ImportError: When safetensors is needed and missing.
    """
    digest = _digest(tensors, meta)
    save_tensors(path, tensors,
                 json.dumps(dict(meta, digest=digest), sort_keys=True))


def read_table(path: Union[str, Path], names: Collection[str], *, what: str,
               remedy: str) -> Tuple[Dict[str, Tensor], Dict]:
    """Return the tensors and the meta of a table.

    Args:
        path: The file.
        names: Names of the tensors.
        what: What the file must be: 'a bank of mmpixsort'.
        remedy: Where such a file comes from.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is cut off, changed, or something else.
        ImportError: When safetensors is needed and missing.
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
    """Return the package.

    Raises:
        ImportError: When it is missing.
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
    """Return the file; np.savez would put the time of writing into it."""
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
