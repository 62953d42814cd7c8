"""Say what is installed, what is wrong with it, and the remedy.

Run `python -m mmpixsort.check`; the exit code is 1 if something is wrong.
"""
import argparse
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import List, Optional, Sequence

from . import __version__, compat
from .compat import Problem

# for each extra of setup.cfg, the modules that it installs
EXTRAS = {
    'safetensors': ('safetensors', ),
    'faiss': ('faiss', ),
    'oversegment': ('skimage', 'scipy'),
    'instances': ('sklearn', 'skimage', 'scipy'),
    'text': ('open_clip', 'timm', 'torchvision'),
    'text-nlp': ('spacy', 'nltk'),
    'metrics': ('scipy', ),
    'study': ('filelock', 'matplotlib', 'rich', 'scipy'),
    'vis': ('sklearn', 'tensorboard'),
    'umap': ('umap', ),
}
HOSTS = {'mmseg': 'segmentors', 'mmdet': 'detectors'}
# for each extra, modules whose import must not fail if they are installed
IMPORTED = {
    'text': ('open_clip', 'timm'),
    'instances': ('sklearn.cluster', 'skimage.measure'),
    'metrics': ('scipy.optimize', ),
    'safetensors': ('safetensors.torch', ),
    'faiss': ('faiss', ),
}


def mim_folder() -> Path:
    return Path(__file__).parent / '.mim'


def import_error(module: str) -> Optional[str]:
    """Import a module; return its error as one line, or None."""
    try:
        import_module(module)
    except Exception as error:  # any error must be reported
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    return None


def find_problems(skip: Sequence[str] = ()) -> List[Problem]:
    """Return all problems of the installation.

    These are more than the ones that `import mmpixsort` reports, as hosts
    and extras are imported.

    Args:
        skip: Extras that are not checked.
    """
    versions = compat.installed()
    problems = compat.find_problems(versions)
    mim = mim_folder()
    for name in ('configs', 'tools', 'model-index.yml'):
        if compat.found('mmengine') and not (mim / name).exists():
            problems.append(
                Problem(False, f'mmpixsort/.mim/{name} is missing: `mim` and '
                        '`mmpixsort::` configs need it',
                        'pip install -e . in the clone, or `make venv`'))
    if not compat.found('torch'):
        return problems + [
            Problem(True, 'torch is not installed', 'pip install torch')
        ]
    if any(problem.fatal for problem in problems):
        return problems  # importing the hosts would only repeat them
    return problems + _host_problems() + _extra_problems(skip)


def _host_problems() -> List[Problem]:
    """Return the problems of importing mmengine, mmcv and the hosts."""
    problems = []
    if not compat.found('mmengine'):
        return problems  # torch alone is no problem, see `notes`
    if not any(compat.found(host) for host in HOSTS):
        return [
            Problem(False, 'no host is installed: there is nothing to attach '
                    'to', "pip install 'mmpixsort[mim,det]'")
        ]
    for name, found in compat.opencv().items():
        if compat.release(found) >= compat.release(compat.OPENCV_LIMIT):
            problems.append(
                Problem(False, f'{name} {found} breaks tools of the hosts, '
                        'which were written for OpenCV 4',
                        f"pip install '{name}<{compat.OPENCV_LIMIT}'"))
    if compat.ext_file() is not None and not compat.has_ops():
        problems.append(
            Problem(False, 'the compiled operators of mmcv do not load with '
                    f'this torch ({import_error(compat.EXT)})',
                    'rebuild mmcv with `make venv OPS=1`, or pip uninstall '
                    'mmcv and pip install mmcv-lite==2.1.0'))
        return problems
    for host in filter(compat.found, ('mmengine', 'mmcv', *HOSTS)):
        parts = (host, f'{host}.models') if host in HOSTS else (host, )
        for module in parts:
            if (error := import_error(module)) is not None:
                problems.append(
                    Problem(False, f'`import {module}` fails ({error})',
                            'see the versions above; `make clean venv` in a '
                            'clone installs a set that was tried'))
                break
    return problems


def notes() -> List[str]:
    """Return notes on what does not work in a supported installation."""
    if compat.found('torch') and not compat.found('mmengine'):
        return ['torch alone, a supported set-up: functional, losses, banks '
                'and samplers work.', 'Heads, hooks and configs need a host: '
                "pip install 'mmpixsort[mim,det]'"]
    return []


def extra_state(name: str) -> str:
    """Return whether an extra is installed, as text with the remedy."""
    missing = [m for m in EXTRAS[name] if not compat.found(m)]
    if not missing:
        return 'yes'
    return (f'no, without {", ".join(missing)}: '
            f"pip install 'mmpixsort[{name}]'")


def _extra_problems(skip: Sequence[str]) -> List[Problem]:
    """Return the problems of importing the extras that are installed."""
    problems = []
    for extra, modules in IMPORTED.items():
        for module in modules:
            package = module.partition('.')[0]
            if extra in skip or not compat.found(package):
                continue
            if (error := import_error(module)) is None:
                continue
            remedy = f"pip install 'mmpixsort[{extra}]'"
            if 'torchvision' in error:
                import torch
                remedy = ('pip install ' + compat.torchvision_for(
                    torch.__version__))
            problems.append(
                Problem(False, f'`import {module}` fails ({error}), so that '
                        f'the extra `{extra}` does not work', remedy))
    return problems


def report(problems: List[Problem]) -> str:
    """Return the text that the command prints."""
    versions = compat.installed()
    hosts = [f'{h} ({what})' for h, what in HOSTS.items() if compat.found(h)]
    mim = mim_folder()
    kind = 'missing'
    if mim.is_dir():
        links = any(path.is_symlink() for path in mim.iterdir())
        kind = 'in place (links)' if links else 'in place (copies)'
    rows = [
        ('mmpixsort', __version__),
        ('python', platform.python_version()),
        ('family', compat.family(versions)),
        *versions.items(),
        ('compiled ops', 'yes' if compat.has_ops() else 'no'),
        ('CUDA', _cuda()),
        ('hosts', ', '.join(hosts) or 'none'),
        ('.mim', kind),
        *compat.opencv().items(),
        *((f'extra {name}', extra_state(name)) for name in EXTRAS),
    ]
    lines = [f'{name:<22} {value}' for name, value in rows]
    lines.append('')
    if not problems:
        lines.append('Everything is in order.')
    lines += notes()
    for problem in problems:
        lines += [f'WRONG: {problem.what}', f'  remedy: {problem.remedy}']
    return '\n'.join(lines)


def _cuda() -> str:
    if import_error('torch') is not None:
        return 'no'
    import torch
    if not torch.cuda.is_available():
        return 'no'
    return f'{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}'


def main(words: Sequence[str] = ()) -> int:
    """Print the report and return the exit code, 1 if there is a problem.

    Args:
        words: Arguments of the command line.
    """
    parser = argparse.ArgumentParser(
        prog='python -m mmpixsort.check', description=__doc__)
    parser.add_argument(
        '--skip', nargs='*', default=(), choices=tuple(EXTRAS),
        help='extras that may be incomplete')
    problems = find_problems(parser.parse_args(words).skip)
    print(report(problems))
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
