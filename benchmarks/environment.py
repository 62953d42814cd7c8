"""Describe what results depend on: code, machine and versions, no paths."""
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

ROOT = Path(__file__).resolve().parent.parent
# paths whose content can change the numbers
CODE = ('mmpixsort', 'benchmarks', 'configs', ':!benchmarks/results')
PACKAGES = ('torch', 'numpy', 'scipy', 'scikit-learn', 'faiss-cpu',
            'pytorch-metric-learning', 'mmengine', 'mmsegmentation', 'mmdet')
# one thread, which waits without spinning
THREADS = dict(
    OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', OPENBLAS_NUM_THREADS='1',
    OMP_WAIT_POLICY='PASSIVE', GOMP_SPINCOUNT='0')
PAGES = dict(default='0', huge='1')  # THP_MEM_ALLOC_ENABLE of torch


def worker_environ(pages: str) -> Dict[str, str]:
    """Return the environment of a process that measures.

    torch reads these settings when it is imported, so each setting needs a
    process of its own.
    """
    return {**os.environ, **THREADS, 'THP_MEM_ALLOC_ENABLE': PAGES[pages]}


def code_version() -> Optional[str]:
    """Return the commit, with a digest of uncommitted changes.

    Outside of a checkout the result is None.
    """
    try:
        commit = _git('rev-parse', '--short=10', 'HEAD').strip()
        changes = _git('diff', 'HEAD', '--', *CODE)
        changes += _git('ls-files', '--others', '--exclude-standard', '--',
                        *CODE)
    except (OSError, subprocess.CalledProcessError):
        return None
    if not changes:
        return commit
    return f'{commit}+{hashlib.sha256(changes.encode()).hexdigest()[:8]}'


def _git(*words: str) -> str:
    return subprocess.run(('git', *words), cwd=ROOT, check=True,
                          capture_output=True, text=True).stdout


def machine(device: str) -> Dict[str, object]:
    """Return the device, the CPU and the versions of packages.

    Raises:
        ValueError: If the device does not exist.
    """
    import torch
    check_device(device)
    name = 'cpu' if device == 'cpu' else torch.cuda.get_device_name()
    return dict(
        device=name, cpu=cpu_name(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        python=platform.python_version(),
        system=f'{platform.system()} {platform.machine()}',
        versions=versions())


def check_device(device: str) -> None:
    """Raise ValueError if the device does not exist."""
    import torch
    if device == 'cuda' and not torch.cuda.is_available():
        raise ValueError(
            "`--device` must be 'cpu' here, got 'cuda': this torch "
            f'({torch.__version__}) finds no CUDA device')


def cpu_name() -> str:
    """Return the name of the processor."""
    path = Path('/proc/cpuinfo')
    text = path.read_text() if path.exists() else ''
    found = re.search(r'^model name\s*:\s*(.+)$', text, re.M)
    if not found:
        return platform.processor() or platform.machine()
    family = [re.search(rf'^{key}\s*:\s*(\d+)$', text, re.M)
              for key in ('cpu family', 'model')]
    numbers = ', '.join(f'{key} {m[1]}' for key, m in zip(
        ('family', 'model'), family) if m)
    return f'{found[1]} ({numbers})' if numbers else found[1]


def versions() -> Dict[str, str]:
    """Return the versions of the installed packages."""
    result = {}
    for name in PACKAGES:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result


def load() -> Optional[List[float]]:
    """Return the load of the machine over 1, 5 and 15 minutes."""
    try:
        return [round(x, 2) for x in os.getloadavg()]
    except (AttributeError, OSError):
        return None
