"""Record which image each map of a folder belongs to, to prevent mix-ups.

A map is found by the file name of its image, which is not unique: the map of
both `train/0001.jpg` and `val/0001.jpg` is `0001.png`. A folder of maps
therefore lists the images of its maps in `images.json`.
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
    """Return whether two paths refer to the same image.

    The file names must be equal. If both files exist, their contents are
    compared too. Otherwise, for example after the images were moved, the
    names of the folders of the files are compared.

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
    """Read which image each map of a folder belongs to.

    Args:
        folder: Folder of maps.

    Returns:
        A dict from the name of each map, relative to the folder, to the path
        of its image. It is empty if the folder has no `images.json`.

    Raises:
        ValueError: If `images.json` is damaged.
    """
    path = Path(folder) / OWNERS
    if not path.is_file():
        return {}
    owners = read_json(path, 'images of maps')
    if not isinstance(owners, dict) or not all(
            isinstance(owner, str) for owner in owners.values()):
        raise ValueError(f'{str(path)!r} must be an object of names of maps '
                         'and paths of their images; write the maps again')
    return owners


def claim_maps(folder: Union[str, Path], images: Mapping[Path, str]) -> None:
    """Record the images of the maps that are going to be written.

    Args:
        folder: Folder of maps.
        images: Dict from the path of each map, which begins with the path of
            the folder, to the path of its image.

    Raises:
        ValueError: If a map belongs to another image, or exists already and
            its image is unknown.
    """
    known = read_owners(folder)
    claimed = dict(known)
    for path, image in images.items():
        name = path.relative_to(folder).as_posix()
        owner = known.get(name)
        if owner is None and path.exists():
            raise ValueError(
                f'{str(path)!r} exists, but {OWNERS} does not tell which '
                'image it belongs to: choose another folder for the map of '
                f'{image!r}, or remove the old map')
        if owner is not None and not same_image(owner, image):
            raise _clash(path, owner, image)
        claimed.setdefault(name, _absolute(image))
    if claimed != known:
        write_whole(Path(folder) / OWNERS,
                    json.dumps(claimed, indent=0, sort_keys=True))


class MapOwners:
    """Check that maps of a folder are read for the images they belong to.

    `images.json` is read once. For a map that it does not list, the object
    remembers the image that the map was read for first. It can thus still
    detect that a second image uses the same map.

    Args:
        folder: Folder of maps.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)
        self.known: Dict[str, str] = {}
        self._is_read = False

    def check(self, path: Path, image: str) -> None:
        """Raise ValueError if a map belongs to another image.

        Args:
            path: Path of the map.
            image: Path of the image that the map is read for.
        """
        if not self._is_read:
            self.known, self._is_read = read_owners(self.folder), True
        name = path.relative_to(self.folder).as_posix()
        owner = self.known.setdefault(name, image)
        if owner == image:
            return
        if not same_image(owner, image):
            raise _clash(path, owner, image)
        self.known[name] = image  # so that it is compared only once


def _absolute(path: str) -> str:
    return path if '://' in path else os.path.abspath(path)


def _clash(path: Path, owner: str, image: str) -> ValueError:
    return ValueError(
        f'{str(path)!r} must be the map of {image!r}, got that of {owner!r}: '
        'keep the maps of each folder of images in a separate folder')
