"""Count the aten calls and host synchronisations of a step.

As the tests count them: the counter is that of tests/dispatch.py, which knows
what is a view and what waits for the device.
"""
import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict

COUNTER = Path(__file__).resolve().parent.parent / 'tests' / 'dispatch.py'


@lru_cache(maxsize=None)
def _dispatch() -> ModuleType:
    # by its path: packages of hosts install a module named `tests` too
    spec = importlib.util.spec_from_file_location('_dispatch', COUNTER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def count_calls(step: Callable[[], object]) -> Dict[str, int]:
    """Return the calls other than views, and the synchronisations."""
    with _dispatch().CallCounter() as counter:
        step()
    return dict(calls=counter.calls, syncs=counter.syncs)
