"""Measure the points of curves, and write the file after each."""
import time
from pathlib import Path
from statistics import median
from typing import Callable, Dict, Optional, Sequence

import torch

from benchmarks.clocks import Clock
from benchmarks.environment import code_version
from benchmarks.memory import peak_extra_mb
from benchmarks.results import open_results, write_results

from .curves import CURVES, Step

SAMPLES = 5  # of a point, after a warm-up
SECONDS = 5.  # of CPU time, after which a point gets no further sample
QUICK = 2  # sizes of a curve with --quick
Say = Callable[[str], None]


def open_curves(path: Optional[Path], machine: Dict, fresh: bool) -> Dict:
    """Return the curves that a run continues with, or new ones.

    Args:
        path: Path of the file; None keeps nothing.
        machine: Description of this machine.
        fresh: Whether to measure again what the file has.

    Raises:
        ValueError: If the file is not of curves, or of another machine.
    """
    results = open_results(path, machine, fresh)
    if results.pop('cases', None):
        raise ValueError(
            f'`--out` must be a file of curves, got {str(path)!r}, which has '
            'cases of `python -m benchmarks`: choose another file')
    results.setdefault('curves', {})
    if fresh:
        results['curves'], results['checks'] = {}, []
    return results


def measure_curves(names: Sequence[str], *, results: Dict,
                   out: Optional[Path], quick: bool, say: Say,
                   clock: Optional[Callable] = None) -> None:
    """Measure the points that are missing.

    Args:
        names: Names of the curves.
        results: Results to continue with; they are changed in place.
        out: File that is written after every point; None writes none.
        quick: Whether only the first sizes are measured.
        say: Function that is called with lines about the progress.
        clock: Function that returns the seconds of a call; None takes the
            CPU time of this thread.
    """
    torch.set_num_threads(1)
    code, started = code_version(), time.monotonic()
    for name in names:
        curve = CURVES[name]
        sizes = curve.sizes[:QUICK] if quick else curve.sizes
        entry = results['curves'].setdefault(name, dict(points=[]))
        entry.update(title=curve.title, unit=curve.unit, fixed=curve.fixed)
        for number, size in enumerate(sizes, 1):
            shown = curve.count(size)
            where = f'{name} {number}/{len(sizes)}: {shown:,} {curve.unit}'
            if is_done(entry, shown, code):
                say(f'{where}: done before')
                continue
            say(f'{where}, after {time.monotonic() - started:.0f} s')
            point = dict(size=shown, code=code, **measure_step(
                lambda: curve.build(size), curve.small, clock))
            entry['points'] = sorted(
                [p for p in entry['points'] if p['size'] != shown] + [point],
                key=lambda p: p['size'])
            if out is not None:
                write_results(out, results)


def measure_step(prepare: Callable[[], Step], prepare_small: Callable,
                 clock: Optional[Callable] = None) -> Dict:
    """Return the median time in ms, its samples and the extra memory in MB.

    Args:
        prepare: Function that makes the inputs and returns the step.
        prepare_small: The same of a small size, whose step loads what a
            library loads once.
        clock: Function that returns the seconds of a call.
    """

    def warm() -> Step:
        prepare_small()()
        return prepare()

    extra = peak_extra_mb(warm, 'cpu')
    step, clock, samples = prepare(), clock or Clock('cpu'), []
    while len(samples) < SAMPLES and sum(samples) < SECONDS:
        samples.append(clock(step))
    return dict(ms=round(1e3 * median(samples), 4), samples=len(samples),
                low=round(1e3 * min(samples), 4),
                high=round(1e3 * max(samples), 4),
                extra_mb=None if extra is None else round(extra, 2))


def is_done(entry: Dict, size: int, code: Optional[str]) -> bool:
    """Return whether a size was measured with this code."""
    return code is not None and any(
        point['size'] == size and point['code'] == code
        for point in entry['points'])
