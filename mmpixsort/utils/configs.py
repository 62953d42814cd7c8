"""Read configs by the path of a file or by package and path."""
from pathlib import Path
from typing import Union

from mmengine.config import Config

from mmpixsort.compat import found

from .reading import reading

WRITTEN = 'a config of a package is written mmseg::folder/name.py'


def read_config(path: Union[str, Path]) -> Config:
    """Read a config file.

    Args:
        path: Path of a file, or ``package::folder/name.py``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read.
    """
    if '::' not in str(path):
        base = config_base(path)
        with reading(path, 'a config'):
            return Config.fromfile(base)
    cfg = load_config(path)
    # runs and their dumped configs are named after the file
    return Config(cfg._cfg_dict, cfg_text=cfg.text, filename=Path(path).name)


def load_config(path: Union[str, Path]) -> Config:
    """Read a config as a config that inherits from it would see it.

    Args:
        path: Path of a file, or ``package::folder/name.py``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read.
    """
    base = config_base(path)
    with reading(path, 'a config'):
        if is_pure_python(base):  # no text config can inherit from it
            return Config(Config.fromfile(base).to_dict())
        return Config.fromstring(f'_base_ = {base!r}\n', '.py')


def is_pure_python(path: Union[str, Path]) -> bool:
    """Tell whether a config is in mmengine's pure Python style.

    Such a config is a Python module that imports the classes it uses.

    Args:
        path: Path of a file. The result is False for
            ``package::folder/name.py``.
    """
    return '::' not in str(path) and Config._is_lazy_import(str(path))


def config_base(path: Union[str, Path]) -> str:
    """Return the `_base_` entry by which a config inherits from another.

    Args:
        path: Path of a file, which is made absolute, or
            ``package::folder/name.py``, which is returned as it is.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the package is not installed, or the path in it is not
            of the form above.
    """
    path = str(path)
    package, inside, name = path.partition('::')
    if not inside:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f'`config` must be a config file, got `{path}`, which does '
                f'not exist; {WRITTEN}')
        return str(Path(path).resolve())
    if not package.isidentifier() or '/' not in name or (
            not name.endswith('.py')):
        raise ValueError(
            f'`config` must be a file or a config of a package, got '
            f'{path!r}; {WRITTEN}')
    if not found(package):
        raise ValueError(
            f'`config` {path!r} needs `{package}`, which is not installed; '
            f'install it, or give a config file')
    return path
