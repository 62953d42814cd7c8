"""Who may import whom: walks the imports of the package."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mmpixsort

PACKAGE = Path(mmpixsort.__file__).parent
# Layer 1, in order: a room may import those before it, never one after it.
ROOMS = ('losses', 'banks', 'samplers', 'layers', 'text', 'hooks', 'metrics',
         'datasets', 'visualization', 'retrieval')
GROUND = ('functional', 'structures')
SHARED = (*GROUND, 'registry', 'compat', 'utils')
HOSTS = {'mmseg', 'mmdet', 'mmpretrain'}
ENGINE = {'mmengine', 'mmcv'}
ALL = (*SHARED, *ROOMS, 'seg', 'det', 'apis', 'check', 'unpickling')

# Part of the package -> the parts that it may import, itself aside.
PARTS = {
    'functional': GROUND,
    'structures': (),
    'compat': ('unpickling', ),
    'unpickling': (),
    'registry': ('compat', ),
    **{room: (*SHARED, *ROOMS[:i]) for i, room in enumerate(ROOMS)},
    'seg': (*SHARED, *ROOMS),
    'det': (*SHARED, *ROOMS),
    'utils': ('compat', 'registry', *GROUND),
    'apis': ALL,
    'check': ('compat', ),
    'plan': (*SHARED, 'losses', 'banks', 'seg'),
    '__init__': ('compat', ),
}
# Part -> the mm packages that it may not import.
BARRED = {
    'functional': ENGINE | HOSTS,
    'structures': ENGINE | HOSTS,
    'registry': HOSTS | {'mmcv'},
    **{room: HOSTS for room in ROOMS},
    'seg': {'mmdet', 'mmpretrain'},
    'det': {'mmseg', 'mmpretrain'},
}
FILES = sorted(
    path for path in PACKAGE.rglob('*.py') if '.mim' not in path.parts)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix('').parts[0]


def imported(path: Path):
    """Yield the full name of everything that a file imports."""
    folder = ('mmpixsort', *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[:len(folder) + 1 - node.level] if node.level else ()
            module = '.'.join((*base, *filter(None, [node.module])))
            yield from (f'{module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize(
    'path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports__follow_the_layers(path):
    part = part_of(path)
    assert part in PARTS, f'{part}: a new room needs a line in this test'
    for name in imported(path):
        top, *rest = name.split('.')
        assert top not in BARRED.get(part, ()), f'{path} imports {name}'
        if top == 'mmpixsort' and rest and rest[0] in PARTS:
            assert rest[0] == part or rest[0] in PARTS[part], (
                f'{path} imports {name}')
        elif part in GROUND:
            assert top in sys.stdlib_module_names | {'torch', 'mmpixsort'}, (
                f'{path} imports {name}, expected torch and stdlib only')


@pytest.mark.parametrize('module', [
    'mmpixsort', 'mmpixsort.functional', 'mmpixsort.structures',
    'mmpixsort.compat', 'mmpixsort.utils', 'mmpixsort.banks',
    'mmpixsort.losses', 'mmpixsort.plan.__main__', 'mmpixsort.registry',
    'mmpixsort.samplers'
])
def test_import__with_torch_alone(module):
    blocked = sorted(ENGINE | HOSTS | {'cv2', 'sklearn', 'scipy'})
    code = (f'import sys\nfor name in {blocked}:\n'
            '    sys.modules[name] = None\n'
            f'import {module}\n')
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', code], check=False)
    assert done.returncode == 0


def test_import__is_light():
    code = ('import sys, mmpixsort\n'
            "heavy = {'mmseg', 'mmdet', 'mmcv', 'cv2', 'matplotlib.pyplot'}\n"
            'print(sorted(heavy & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          check=True, capture_output=True, text=True)
    assert done.stdout.strip() == '[]'
