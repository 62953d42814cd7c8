"""Store the region ids of images on disk, one PNG for each image.

The settings of the grouper are stored beside the maps. A map has the size of
the grid that the grouper worked on. The grid covers the whole image, so a map
is brought to the size of the image by nearest-neighbour interpolation.
"""
import hashlib
import json
from pathlib import Path
from typing import Dict, Union

import numpy as np

from mmpixsort.functional.checks import check_count
from mmpixsort.utils.files import write_image, write_whole
from mmpixsort.utils.reading import read_json, reading

from .id_maps import read_id_image

SETTINGS = 'groups.json'
VERSION = 1


def group_path(folder: Union[str, Path], img_path: Union[str, Path]) -> Path:
    """Return the path of the map of an image.

    The map has the name of the image, with the ending .png.

    Example:
        >>> group_path('groups', 'images/cat.jpg').as_posix()
        'groups/cat.png'
    """
    return Path(folder) / f'{Path(img_path).stem}.png'


def write_groups(path: Union[str, Path], ids: np.ndarray,
                 num_regions: int) -> None:
    """Write the region ids of an image, completely or not at all.

    Args:
        path: Path of a PNG file.
        ids: Region ids (h, w), integers in [0, K), -1 where a pixel is in no
            region.
        num_regions: Number of regions K. A pixel takes one byte if K is at
            most 255, and two bytes otherwise; the largest value of the type
            means no region.

    Raises:
        ValueError: If the shape is wrong, an id is out of range, or K is
            above 65535.
    """
    check_count('num_regions', num_regions)
    if ids.ndim != 2 or ids.dtype.kind not in 'iu':
        raise ValueError('`ids` must be an integer array (h, w), got '
                         f'{ids.dtype} of shape {ids.shape}')
    if ids.size and not -1 <= ids.min() <= ids.max() < num_regions:
        raise ValueError(f'`ids` must lie in [-1, {num_regions}), got '
                         f'{ids.min()} to {ids.max()}')
    dtype = _dtype(num_regions)
    values = np.where(ids < 0, np.iinfo(dtype).max, ids).astype(dtype)
    write_image(path, values)


def _dtype(num_regions: int) -> type:
    for dtype in (np.uint8, np.uint16):
        if num_regions <= np.iinfo(dtype).max:
            return dtype
    raise ValueError('`num_regions` must be at most 65535 in a PNG, got '
                     f'{num_regions}')


def read_groups(path: Union[str, Path]) -> np.ndarray:
    """Read the region ids that `tools/precompute_groups.py` wrote.

    Args:
        path: Path of the map, as :func:`group_path` returns it.

    Returns:
        Region ids (h, w), int64 from 0; -1 where a pixel is in no region.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a PNG with one channel of 8 or 16
            bits.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'groups {str(path)!r} not found; write them with '
            'tools/precompute_groups.py CONFIG --out DIR')
    image = read_id_image(path)
    values = image.values
    if (image.alpha is not None or values.ndim != 2
            or values.dtype not in (np.uint8, np.uint16)):
        raise ValueError(f'{str(path)!r} must be a PNG of one channel of 8 '
                         f'or 16 bits, got {image}')
    none = np.iinfo(values.dtype).max
    return np.where(values == none, -1, values.astype(np.int64))


def settings_hash(settings: Dict) -> str:
    """Return a hash of settings that does not depend on their order.

    Args:
        settings: Settings, of JSON types.

    Example:
        >>> settings_hash(dict(a=1, b=2)) == settings_hash(dict(b=2, a=1))
        True
    """
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def open_group_folder(folder: Union[str, Path], settings: Dict) -> None:
    """Create a folder of maps, or check that its settings are the same.

    Args:
        folder: Folder that maps are going to be written to.
        settings: Settings that the ids depend on, of JSON types.

    Raises:
        ValueError: If the folder contains maps of other or unknown settings.
    """
    folder = Path(folder)
    note = folder / SETTINGS
    if not note.is_file():
        if any(folder.glob('*.png')):
            raise ValueError(
                f'{str(folder)!r} must be empty, or hold groups with their '
                f'{SETTINGS}; got PNG files without it: choose another '
                'folder')
        folder.mkdir(parents=True, exist_ok=True)
        stored = dict(
            version=VERSION, hash=settings_hash(settings), settings=settings)
        write_whole(note, json.dumps(stored, indent=2, sort_keys=True))
        return
    stored = read_group_settings(folder)
    if stored['hash'] != settings_hash(settings):
        changed = sorted(
            key for key in {*settings, *stored['settings']}
            if settings.get(key) != stored['settings'].get(key))
        raise ValueError(
            f'{str(folder)!r} must hold groups made with these settings '
            f'(hash {settings_hash(settings)}), got hash {stored["hash"]}; '
            f'these settings are different: {", ".join(changed)}. Remove the '
            'folder or choose another')


def read_group_settings(folder: Union[str, Path]) -> Dict:
    """Read the settings with which the maps of a folder were made.

    Args:
        folder: Folder of maps.

    Returns:
        A dict of the `version` of the format, the `settings` and their
        `hash`.

    Raises:
        FileNotFoundError: If the folder has no settings.
        ValueError: If the settings are truncated, were changed, or have
            another version.
    """
    path = Path(folder) / SETTINGS
    if not path.is_file():
        raise FileNotFoundError(f'settings of groups {str(path)!r} not found')
    with reading(path, 'settings of groups'):
        stored = read_json(path, 'settings of groups')
        known = stored['version'] == VERSION
        known = known and stored['hash'] == settings_hash(stored['settings'])
    if not known:
        raise ValueError(f'{str(path)!r} was changed, or is not of version '
                         f'{VERSION}; write the groups anew')
    return stored
