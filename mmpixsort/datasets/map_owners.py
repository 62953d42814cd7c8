"""Whose maps a folder holds: maps are found by name, images may share one.

`train/0001.jpg` and `val/0001.jpg` both have the map `0001.png`. A folder
notes the images of its maps in `images.json`, so that no map is taken for
that of another image.
"""
import filecmp
import json
import os
from pathlib import Path
from typing import Dict, Mapping, Union

from mmpixsort.utils.files import write_whole
from mmpixsort.utils.reading import read_json

OWNERS = 'images.json'


def same_image(first: str, second: str) -> bool:
    """Tell whether two paths lead to one image.

    They do where the files are equal. Where one is not there, as when the
    images have moved, the names of file and folder decide.

    Example:
        >>> same_image('/old/train/1.jpg', '/new/train/1.jpg')
        True
        >>> same_image('/old/train/1.jpg', '/old/val/1.jpg')
        False
    """
    first, second = _absolute(first), _absolute(second)
    if first == second:
        return True
    if Path(first).name != Path(second).name:
        return False
    if os.path.isfile(first) and os.path.isfile(second):
        return filecmp.cmp(first, second, shallow=False)
    return Path(first).parts[-2:] == Path(second).parts[-2:]


def read_owners(folder: Union[str, Path]) -> Dict[str, str]:
    """Return the path of the image of every map of a folder.

    Args:
        folder: Folder of maps; without a note its images are unknown.

    Returns:
        Name of the map, below the folder -> path of its image; empty without
        a note.

    Raises:
        ValueError: When the note is damaged.
    """
    path = Path(folder) / OWNERS
    if not path.is_file():
        return {}
    owners = read_json(path, 'images of maps')
    if not isinstance(owners, dict) or not all(
            isinstance(owner, str) for owner in owners.values()):
        raise ValueError(f'{str(path)!r} must be an object of names of maps '
                         'and paths of images; write the maps anew')
    return owners


def claim_maps(folder: Union[str, Path], images: Mapping[Path, str]) -> None:
    """Note whose maps a folder is going to hold.

    Args:
        folder: Folder of maps.
        images: Path of each map below the folder -> path of its image.

    Raises:
        ValueError: When a map belongs to another image, or is there and
            nobody knows whose it is.
    """
    known = read_owners(folder)
    claimed = dict(known)
    for path, image in images.items():
        name = path.relative_to(folder).as_posix()
        owner = known.get(name)
        if owner is None and path.exists():
            raise ValueError(
                f'{str(path)!r} is there, but {OWNERS} does not tell whose '
                f'map it is: choose another folder for that of {image!r}, or '
                'remove the map')
        if owner is not None and not same_image(owner, image):
            raise _clash(path, owner, image)
        claimed.setdefault(name, _absolute(image))
    if claimed != known:
        write_whole(Path(folder) / OWNERS,
                    json.dumps(claimed, indent=0, sort_keys=True))


class MapOwners:
    """The images that the maps of a folder belong to, read once.

    Where the folder has no note, two images that ask for one map are told
    from another as they come.

    Args:
        folder: Folder of maps.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)
        self.known: Dict[str, str] = {}
        self._is_read = False

    def check(self, path: Path, image: str) -> None:
        """Raise ValueError when a map belongs to another image.

        Args:
            path: Path of the map.
            image: Path of the image that it is read for.
        """
        if not self._is_read:
            self.known, self._is_read = read_owners(self.folder), True
        name = path.relative_to(self.folder).as_posix()
        owner = self.known.setdefault(name, image)
        if owner == image:
            return
        if not same_image(owner, image):
            raise _clash(path, owner, image)
        self.known[name] = image  # compared once


def _absolute(path: str) -> str:
    return path if '://' in path else os.path.abspath(path)


def _clash(path: Path, owner: str, image: str) -> ValueError:
    return ValueError(
        f'{str(path)!r} must be the map of {image!r}, got that of {owner!r}: '
        'keep the maps of each folder of images in a folder of its own')
