"""The cases, a module each; what several share is in `steps`."""
from importlib import import_module

from benchmarks.case import Case

NAMES = ('C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'K1', 'K2', 'L1', 'L2',
         'R1', 'R2', 'R3', 'D1', 'M1', 'T1', 'I1', 'X1', 'S1')


def load_case(name: str) -> Case:
    """Return a case by its name."""
    return import_module(f'{__name__}.{name.lower()}').CASE
