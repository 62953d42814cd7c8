"""Compatibility with the versions of torch and of the mm packages.

The modules `mmengine`, `mmcv`, `mmseg` and `mmdet` come from two families of
distributions: the classic ones, and the maintained fork `onedl-*`. `setup`
runs at `import mmpixsort`. It raises an error for combinations that cannot
work, warns about versions that were not tested, and lets the classic family
work with recent versions of torch.
"""
import importlib
import re
import sys
import warnings
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

# for each distribution, the lowest tested version and the first one that is
# known or expected to fail; mmcv-full and mmengine-lite only tell the family
CLASSIC = {
    'mmengine': ('0.10', '1.0'),
    'mmengine-lite': ('0.10', '1.0'),
    'mmcv': ('2.0', '2.2'),
    'mmcv-lite': ('2.0', '2.2'),
    'mmcv-full': ('2.0', '2.2'),
    'mmsegmentation': ('1.2', '2.0'),
    'mmdet': ('3.2', '4.0'),
}
ONEDL = {
    'onedl-mmengine': ('0.10.12', '1.0'),
    'onedl-mmcv': ('2.3.6', '3.0'),
    'onedl-mmsegmentation': ('1.4.2', '2.0'),
    'onedl-mmdetection': ('3.5.1', '4.0'),
}
MIN_TORCH = '2.1'
OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
          'opencv-contrib-python-headless')
OPENCV_LIMIT = '5'  # the hosts were written for 4, and 5 breaks their tools
# warnings of the hosts in every process, which users cannot avoid
NOISE = (
    ('pkg_resources is deprecated', UserWarning),
    ('Deprecated call to `pkg_resources', DeprecationWarning),
    ('``build_loss`` would be deprecated soon', UserWarning),  # mmseg's own
)


class Problem(NamedTuple):
    """Problem of an installation.

    Attributes:
        fatal: Whether `import mmpixsort` raises an error because of it.
        what: What was found and what was expected.
        remedy: What to do about it.
    """

    fatal: bool
    what: str
    remedy: str

    def __str__(self) -> str:
        return f'{self.what}. Remedy: {self.remedy}'


def found(module: str) -> bool:
    """Tell whether a top-level module is installed, without importing it."""
    try:
        return find_spec(module) is not None
    except ValueError:  # a mock in sys.modules has no spec
        return True
    except ImportError:  # an import finder may hide a module so
        return False


def release(text: str) -> Tuple[int, ...]:
    """Return the release numbers of a version, without suffixes.

    >>> release('2.13.0+cpu')
    (2, 13, 0)
    """
    match = re.match(r'\d+(\.\d+)*', text)
    numbers = match.group().split('.') if match else ['0']
    return tuple(int(number) for number in numbers)


def torchvision_for(torch_version: str) -> str:
    """Return the arguments of `pip install` for the torchvision of a torch.

    Its minor version is that of torch 2 plus 15. It works only with the
    build of torch that it was made for, so a suffix like `+cpu` or `+cu126`
    selects the package index.

    >>> torchvision_for('2.13.0')
    "'torchvision==0.28.*'"
    >>> torchvision_for('2.6.1+cpu').split()[1:]
    ['--extra-index-url', 'https://download.pytorch.org/whl/cpu']
    """
    public, _, build = torch_version.partition('+')
    wanted = f"'torchvision==0.{release(public)[1] + 15}.*'"
    index = f' --extra-index-url https://download.pytorch.org/whl/{build}'
    return wanted + index if build else wanted


def installed() -> Dict[str, str]:
    """Return the version of every installed distribution of both families."""
    versions = {}
    for name in (*CLASSIC, *ONEDL, 'torch'):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def opencv() -> Dict[str, str]:
    """Return the version of every installed distribution of OpenCV."""
    versions = {}
    for name in OPENCV:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def family(versions: Optional[Mapping[str, str]] = None) -> str:
    """Return the installed family: 'classic', 'onedl', 'both' or 'none'."""
    versions = installed() if versions is None else versions
    classic = any(name in CLASSIC for name in versions)
    onedl = any(name in ONEDL for name in versions)
    if classic and onedl:
        return 'both'
    return 'classic' if classic else 'onedl' if onedl else 'none'


def find_problems(versions: Mapping[str, str]) -> List[Problem]:
    """Return the problems of a set of installed distributions.

    Args:
        versions: Version of each distribution, as `installed` returns it.
    """
    problems = _family_problems(versions)
    for name, (lowest, limit) in {**CLASSIC, **ONEDL}.items():
        if name in versions and not (
                release(lowest) <= release(versions[name]) < release(limit)):
            problems.append(
                Problem(
                    False, f'{name} {versions[name]} was never tried, '
                    f'expected >={lowest},<{limit}',
                    f"pip install '{name}>={lowest},<{limit}'"))
    if 'torch' in versions and release(versions['torch']) < release(MIN_TORCH):
        problems.append(
            Problem(False, f'torch {versions["torch"]} is too old, expected '
                    f'>={MIN_TORCH}', f"pip install 'torch>={MIN_TORCH}'"))
    return problems


def _family_problems(versions: Mapping[str, str]) -> List[Problem]:
    """Return combinations that cannot work, and missing dependencies."""
    if family(versions) == 'both':
        mixed = ', '.join(n for n in versions if n != 'torch')
        return [
            Problem(
                True, 'Distributions of both families are installed '
                f'({mixed}): they overwrite one another\'s modules',
                'uninstall all of these with pip, then install '
                "'mmpixsort[mim]' (classic) or 'mmpixsort[onedl]', not both")
        ]
    problems = []
    hosts = [n for n in ('mmsegmentation', 'mmdet') if n in versions]
    for mmcv in ('mmcv', 'mmcv-lite'):
        if hosts and release(versions.get(mmcv, '0')) >= (2, 2):
            problems.append(
                Problem(
                    True, f'{" and ".join(hosts)} refuse mmcv>=2.2, found '
                    f'{mmcv} {versions[mmcv]}',
                    f'pip install {mmcv}==2.1.0 (or move to the fork: '
                    "uninstall the mm packages, then pip install "
                    "'mmpixsort[onedl]')"))
    if 'mmcv' in versions and 'mmcv-lite' in versions:
        problems.append(
            Problem(False, 'mmcv and mmcv-lite are both installed: they '
                    'overwrite one another\'s files',
                    'pip uninstall mmcv mmcv-lite, then install one of them'))
    if 'mmengine' in versions and hosts and not found('pkg_resources'):
        problems.append(
            Problem(
                False, 'mmengine cannot resolve `mmseg::` base configs '
                'without pkg_resources, which setuptools>=82 lacks',
                "pip install 'setuptools<82'"))
    for module in ('ftfy', 'regex'):
        if 'mmsegmentation' in versions and not found(module):
            problems.append(
                Problem(False, f'mmseg.apis needs `{module}`, which its '
                        'metadata does not ask for', f'pip install {module}'))
    return problems


def setup() -> None:
    """Check the installation and make the mm packages work with it.

    Only the first call does this.

    Raises:
        ImportError: If the installed packages cannot work together.
    """
    if _state['done']:
        return
    for problem in find_problems(installed()):
        if not problem.fatal:
            warnings.warn(str(problem), stacklevel=3)
        # `python -m mmpixsort.check` imports the package before it reports
        # problems, so it must not fail here
        elif 'mmpixsort.check' not in sys.orig_argv:
            raise ImportError(str(problem))
    with warnings.catch_warnings():
        quiet_hosts()
        if found('mmcv'):
            stand_in_for_ops()
        if found('mmengine'):
            register_config_prefixes()
            inherit_without_scope()
            allow_checkpoint_globals()
    _state['done'] = True


_state = {'done': False}


def quiet_hosts() -> None:
    """Ignore the warnings in NOISE, which the hosts raise on import.

    Command line tools call it. `import mmpixsort` does not change the
    warning filters of a process.
    """
    for message, category in NOISE:
        warnings.filterwarnings('ignore', message, category)


def require(module: str) -> None:
    """Raise ImportError with a remedy if a module is not installed."""
    if not found(module):
        raise ImportError(
            f'this needs `{module}`, which is not installed. Remedy: '
            "`make venv` in a clone, or pip install 'mmpixsort[mim,det]' "
            "(classic) or 'mmpixsort[onedl-det]'")


# --- configs ---------------------------------------------------------------


def register_config_prefixes() -> None:
    """Register the config prefix `mmpixsort::`, and `mmseg::` of onedl.

    mmengine maps prefixes to distributions by a fixed table, and looks for
    the configs in `<site-packages>/<name>`, which fails for an editable
    install. For a name that is a module but no distribution it uses the
    folder of the module's file. The entry is therefore this module, whose
    folder is the package.
    """
    from mmengine.config.utils import MODULE2PACKAGE
    MODULE2PACKAGE['mmpixsort'] = __name__
    versions = installed()
    if 'onedl-mmsegmentation' in versions:
        MODULE2PACKAGE['mmseg'] = 'onedl-mmsegmentation'


def inherit_without_scope() -> None:
    """Let a config that inherits `mmpixsort::` be built by its host.

    mmengine notes the prefix of a base as its scope, in which everything
    from the base is then built. The configs of this package name parts of
    the host without a prefix, which that scope does not know, so they keep
    the scope that they have when they are read by their path.
    """
    from mmengine.config import Config
    find = Config._get_cfg_path
    if getattr(find, 'unscoped', False):
        return

    def find_unscoped(cfg_path: str, filename: str) -> tuple:
        path, scope = find(cfg_path, filename)
        return path, None if scope == 'mmpixsort' else scope

    find_unscoped.unscoped = True
    Config._get_cfg_path = staticmethod(find_unscoped)


# --- checkpoints -----------------------------------------------------------


def allow_checkpoint_globals() -> None:
    """Let `torch.load` of torch>=2.6 read mmengine checkpoints.

    By default it loads only weights, and refuses the log history that
    mmengine stores in every checkpoint. Files with other objects still need
    `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`.
    """
    import torch
    if release(torch.__version__) >= (2, 6):
        from .unpickling import checkpoint_globals
        torch.serialization.add_safe_globals(checkpoint_globals())


# --- compiled operators ----------------------------------------------------

EXT = 'mmcv._ext'


def missing_op(name: str) -> Callable:
    """Return a function that raises ImportError for a missing operator."""

    def raiser(*args, **kwargs):
        raise ImportError(
            f'the operator `{name}` of mmcv is compiled, and this mmcv comes '
            'without compiled operators. Remedy: `make venv OPS=1` in a '
            'clone, or MMCV_WITH_OPS=1 pip install --no-build-isolation '
            'mmcv==2.1.0 after torch, in place of mmcv-lite')

    return raiser


class MissingOps(ModuleType):
    """Replacement of `mmcv._ext` whose operators raise ImportError."""

    def __init__(self) -> None:
        super().__init__(EXT, 'Stands in for the operators of mmcv.')
        # mmengine would take a spec with a loader for a full mmcv, and
        # `find_spec` raises an error if there is no spec
        self.__spec__ = ModuleSpec(EXT, loader=None)

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)
        return missing_op(name)


def ext_file() -> Optional[Path]:
    """Return the file of the compiled operators of mmcv, or None."""
    if not found('mmcv'):
        return None
    spec = find_spec('mmcv') if 'mmcv' not in sys.modules else \
        sys.modules['mmcv'].__spec__
    for folder in getattr(spec, 'submodule_search_locations', None) or ():
        for suffix in EXTENSION_SUFFIXES:
            if (path := Path(folder, f'_ext{suffix}')).exists():
                return path
    return None


def stand_in_for_ops() -> None:
    """Make `mmcv.ops` importable if mmcv has no compiled operators.

    mmseg and mmdet always import `mmcv.ops`, but most of their models never
    call one of its operators.
    """
    if EXT not in sys.modules and ext_file() is None:
        sys.modules[EXT] = MissingOps()


def has_ops() -> bool:
    """Tell whether the compiled operators of mmcv load with this torch."""
    if ext_file() is None:
        return False
    try:
        import torch  # noqa: F401  loads the libraries of the operators
        module = importlib.import_module(EXT)
    except (ImportError, OSError):
        return False
    return not isinstance(module, MissingOps)
