"""Get the files of a model from the place of the zoo, and verify them."""
import shutil
from pathlib import Path
from typing import List, Optional, Union

import torch

from mmpixsort.utils.files import write_whole
from mmpixsort.utils.publish import sha256

from .http_file import download_file
from .index import ZooFile, trained_model
from .place import locate


def cache_folder() -> Path:
    """Return the folder of downloads, that of torch.hub and mmengine."""
    return Path(torch.hub.get_dir()) / 'checkpoints'


def download_model(name: str,
                   dest: Optional[Union[str, Path]] = None) -> List[Path]:
    """Return verified files of a model: its weights, and its bank if any.

    Files that are there and intact are not downloaded again.

    Args:
        name: Name of the model; see :func:`list_models`.
        dest: Folder to put the files into. None leaves files of a folder
            where they are, and downloads to the cache of torch.hub.

    Raises:
        ValueError: If there is no such model, it has no trained weights, or
            a file is not the one that the metafile describes.
        FileNotFoundError: If the place of the zoo lacks a file.
        ConnectionError: If a download breaks off; a later call continues.
    """
    folder = None if dest is None else Path(dest)
    return [fetch(file, folder) for file in trained_model(name).files()]


def fetch(file: ZooFile, folder: Optional[Path] = None) -> Path:
    """Return the verified path of a file; see :func:`download_model`."""
    source = locate(file)
    if isinstance(source, str):
        target = (cache_folder() if folder is None else folder) / file.name
        if is_intact(target, file):
            return target
        return download_file(source, file, target)
    target = source if folder is None else folder / file.name
    if target != source and is_intact(target, file):
        return target
    if not is_intact(source, file):
        raise ValueError(
            f'{str(source)!r} must be the file with the SHA-256 '
            f'{file.sha256}, but has {sha256(source)}: it is cut off or of '
            'another version; get it again')
    if target != source:
        write_whole(target, source.read_bytes())
        shutil.copystat(source, target)
    return target


def is_intact(path: Path, file: ZooFile) -> bool:
    """Return whether a path is the file that the metafile describes."""
    return (path.is_file() and path.stat().st_size == file.size
            and sha256(path) == file.sha256)
