"""Read archives of strangers: what is asked for, and no more than is there."""
import io
import zipfile
from pathlib import Path
from typing import Dict, Iterable, Union

import numpy as np


def stored_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return an entry that is not compressed.

    Such an entry cannot be larger than the file, so that no small file makes
    a large one in memory; all writers of this package and of torch store
    their data so.

    Args:
        archive: The archive.
        name: Name of the entry.

    Raises:
        KeyError: When there is no such entry.
        ValueError: When it is compressed.
    """
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f'entry {name!r} is compressed, which its writer '
                         'never does')
    return archive.read(name)


def stored_arrays(path: Union[str, Path],
                  names: Iterable[str]) -> Dict[str, np.ndarray]:
    """Return arrays of an .npz file; other entries are not looked at.

    Args:
        path: As `numpy.savez` writes it, never pickled.
        names: Names of the arrays.

    Raises:
        KeyError: When an array is missing.
        ValueError: When one is compressed or pickled.
    """
    with zipfile.ZipFile(path) as archive:
        return {
            name: np.lib.format.read_array(
                io.BytesIO(stored_entry(archive, f'{name}.npy')),
                allow_pickle=False)
            for name in names
        }
