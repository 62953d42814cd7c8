"""Every example in a docstring runs and prints what it says."""
import doctest
from importlib import import_module
from pathlib import Path

import pytest

import mmpixsort
from mmpixsort import compat

PACKAGE = Path(mmpixsort.__file__).parent
HOST_OF = {'seg': 'mmseg', 'det': 'mmdet'}


def modules():
    """Name every module of the package that holds an example."""
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE).with_suffix('').parts
        if '.mim' not in parts and '>>>' in path.read_text():
            yield '.'.join(part for part in parts if part != '__init__')


@pytest.mark.parametrize('name', list(modules()))
def test_docstring__example(name):
    host = HOST_OF.get(name.split('.')[0])
    if host is not None and not compat.found(host):
        pytest.skip(f'{host} is not installed')
    module = import_module(f'mmpixsort.{name}')
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert tried and not failed, f'{failed} of {tried} lines, see the output'
    silent = [test.name for test in doctest.DocTestFinder().find(module)
              if test.examples and not any(e.want for e in test.examples)]
    assert not silent, f'{silent} print nothing: whatever they do is right'
