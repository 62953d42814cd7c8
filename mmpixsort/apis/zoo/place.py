"""The place from which the files of the zoo come.

The environment variable `MMPIXSORT_ZOO` names it: a URL or a folder below
which the files lie by their names. By default it is the folder `model_zoo` of
the checkout, or of the installed package, and for a package that does not
contain the weights the URL in its metafiles.
"""
import os
from pathlib import Path
from typing import Union
from urllib.parse import quote

from .index import FOLDER, ZooFile, zoo_root

VARIABLE = 'MMPIXSORT_ZOO'
SCHEMES = ('http://', 'https://')


def locate(file: ZooFile) -> Union[Path, str]:
    """Return the path or the URL of a file of the zoo.

    Raises:
        ValueError: If `MMPIXSORT_ZOO` is a URL that is neither http nor
            https.
        FileNotFoundError: If the file is in none of these places.
    """
    place = os.environ.get(VARIABLE, '')
    if place.startswith(SCHEMES):
        return f'{place.rstrip("/")}/{quote(file.name)}'
    if '://' in place:
        raise ValueError(f'{VARIABLE} must be a folder or a URL of http or '
                         f'https, got {place!r}')
    path = Path(place).expanduser() if place else zoo_root() / FOLDER
    if (path / file.name).is_file():
        return path / file.name
    if not place and file.address.startswith(SCHEMES):
        return file.address
    raise FileNotFoundError(
        f'{file.name!r} is not in {str(path)!r}'
        + (f', the folder that {VARIABLE} names' if place else
           ': this installation does not contain the weights. Set '
           f'{VARIABLE} to a URL or a folder with the files of {FOLDER}/ of '
           'the repository'))
