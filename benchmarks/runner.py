"""Run cases one after the other, and store the results after each."""
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from .case import Case
from .environment import ROOT, code_version, load, worker_environ
from .results import is_done, refused, write_results


class CaseFailed(RuntimeError):
    """Raised if a case failed; its process has printed the reason."""


class Settings(NamedTuple):
    """Settings of a measurement.

    Attributes:
        device: 'cpu' or 'cuda'.
        pairs: Number of pairs of a setup.
        seconds: Time budget of a case.
        tiny: Whether to use the tiny setups.
    """

    device: str = 'cpu'
    pairs: int = 15
    seconds: float = 60.
    tiny: bool = False

    def pages(self, case: Case) -> Sequence[str]:
        """Return the settings of memory pages, which a GPU does not have."""
        return case.pages if self.device == 'cpu' else ('default', )


Worker = Callable[[str, str, float, Settings], Dict]


def run_cases(names: Sequence[str],
              *,
              results: Dict,
              settings: Settings,
              out: Optional[Path] = None,
              fresh: bool = False,
              load_case: Callable[[str], Case],
              worker: Optional[Worker] = None,
              say: Callable[[str], None] = print) -> List[str]:
    """Measure the cases that are missing, and write the file after each.

    Args:
        names: Names of the cases.
        results: Results to continue with; they are changed in place.
        settings: Settings of the measurement.
        out: Path of the file of results; None writes no file.
        fresh: Whether to measure existing cases again.
        load_case: Function that returns a case by its name.
        worker: Function that measures a case with one setting of the pages;
            None does it in a process of its own.
        say: Function that is called with lines about the progress.

    Returns:
        Names of the cases that failed or had a refused measurement.
    """
    worker = worker or run_worker
    started, wanting = time.monotonic(), []
    for number, name in enumerate(names, 1):
        code = code_version()
        if not fresh and is_done(results, name, code, _kept(settings)):
            say(f'[{number}/{len(names)}] {name}: done before')
            continue
        spent = time.monotonic() - started
        say(f'[{number}/{len(names)}] {name} after {spent:.0f} s')
        try:
            entry = _entry(load_case(name), settings, worker)
        except CaseFailed as error:
            say(f'{name}: {error}')
            wanting.append(name)
            continue
        results['cases'][name] = dict(
            code=code, when=time.strftime('%Y-%m-%d %H:%M', time.gmtime()),
            settings=_kept(settings), **entry)
        for what, control in refused(entry).items():
            say(f'{name}: {what}: not published, as the control of equal '
                f'functions was {control:.3f}')
            wanting.append(name)
        if out is not None:
            write_results(out, results)
    return sorted(set(wanting))


def _kept(settings: Settings) -> Dict:
    return dict(settings._asdict())


def _entry(case: Case, settings: Settings, worker: Worker) -> Dict:
    before = load()
    kinds = settings.pages(case)
    parts = {pages: worker(case.name, pages, settings.seconds / len(kinds),
                           settings) for pages in kinds}
    setups = parts['default']['setups']
    for i, setup in enumerate(setups):
        setup['pages'] = {
            pages: part['setups'][i]['times']
            for pages, part in parts.items() if 'times' in part['setups'][i]}
        setup.pop('times', None)
    return dict(setups=setups, exponents=exponents(setups),
                load=[before, load()])


def exponents(setups: Sequence[Dict]) -> Dict[str, float]:
    """Return the slopes of the log of time and memory over that of scale."""
    result = {}
    for name, value in (
            ('time', lambda s: s['pages'].get('default', {}).get('ours_ms')),
            ('memory', lambda s: s.get('memory', {}).get('ours'))):
        points = [(s['scale'], value(s)) for s in setups if 'scale' in s]
        if len(points) > 1 and all(y for _, y in points):
            result[name] = _slope([(math.log(x), math.log(y))
                                   for x, y in points])
    return result


def _slope(points: Sequence) -> float:
    mean_x, mean_y = (sum(part) / len(points) for part in zip(*points))
    return (sum((x - mean_x) * (y - mean_y) for x, y in points)
            / sum((x - mean_x)**2 for x, _ in points))


def run_worker(name: str, pages: str, seconds: float,
               settings: Settings) -> Dict:
    """Measure a case in a process with one setting of the pages.

    Raises:
        CaseFailed: If the process ends with an error.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / 'result.json'
        command = [
            sys.executable, '-m', 'benchmarks.worker', name, '--pages', pages,
            '--device', settings.device, '--pairs', str(settings.pairs),
            '--seconds', str(seconds), '--out', str(out)]
        done = subprocess.run(
            command + ['--tiny'] * settings.tiny, cwd=ROOT, check=False,
            env=worker_environ(pages))
        if done.returncode or not out.exists():
            raise CaseFailed(
                f'failed with {pages} pages (exit code {done.returncode}), '
                'see above; the other cases go on')
        return json.loads(out.read_text())
