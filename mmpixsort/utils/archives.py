"""Read entries of zip and .npz archives from untrusted sources."""
import io
import zipfile
from pathlib import Path
from typing import Dict, Iterable, Union

import numpy as np


def stored_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of an uncompressed entry, and refuse compressed ones.

    An uncompressed entry is not larger than the file, so a small file cannot
    fill the memory. This package and torch never compress their data.

    Args:
        archive: The open archive.
        name: Name of the entry.

    Raises:
        KeyError: If there is no such entry.
        ValueError: If the entry is compressed.
    """
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f'entry {name!r} is compressed, which its writer '
                         'never does')
    return archive.read(name)


def stored_arrays(path: Union[str, Path],
                  names: Iterable[str]) -> Dict[str, np.ndarray]:
    """Return arrays of an .npz file by name; other entries are not read.

    Args:
        path: Path of the file, as `numpy.savez` writes it.
        names: Names of the arrays to read.

    Raises:
        KeyError: If an array is missing.
        ValueError: If an array is compressed or pickled.
    """
    with zipfile.ZipFile(path) as archive:
        return {
            name: np.lib.format.read_array(
                io.BytesIO(stored_entry(archive, f'{name}.npy')),
                allow_pickle=False)
            for name in names
        }
