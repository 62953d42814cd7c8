"""Read configs by their path or by package and path."""
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
        FileNotFoundError: When there is no such file.
        ValueError: When it cannot be read.
    """
    if '::' not in str(path):
        base = config_base(path)
        with reading(path, 'a config'):
            return Config.fromfile(base)
    cfg = load_config(path)
    # the name that runs and their dumped configs get
    return Config(cfg._cfg_dict, cfg_text=cfg.text, filename=Path(path).name)


def load_config(path: Union[str, Path]) -> Config:
    """Read a config as one that inherits from it sees it.

    Args:
        path: Path of a file, or ``package::folder/name.py``.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it cannot be read.
    """
    base = config_base(path)
    with reading(path, 'a config'):
        if is_pure_python(base):  # no text config can inherit from it
            return Config(Config.fromfile(base).to_dict())
        return Config.fromstring(f'_base_ = {base!r}\n', '.py')


def is_pure_python(path: Union[str, Path]) -> bool:
    """Tell whether a config is a module that imports what it uses.

    Args:
        path: Path of a file; a path of a package is none of these.
    """
    return '::' not in str(path) and Config._is_lazy_import(str(path))


def config_base(path: Union[str, Path]) -> str:
    """Return how a config refers to a base, absolute where it is a file.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When a package is not installed, or a path below its
            configs is not written as one.
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
            f'`config` must be a file or a path below the configs of a '
            f'package, got {path!r}; {WRITTEN}')
    if not found(package):
        raise ValueError(
            f'`config` {path!r} is of `{package}`, which is not installed; '
            f'install it, or give a config file')
    return path
