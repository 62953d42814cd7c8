"""Show the states of the runs of a study as a table in a terminal."""
import json
import time
from pathlib import Path
from typing import Collection, List, NamedTuple, Optional, Sequence, Tuple

from filelock import FileLock, Timeout
from rich.table import Table

from .plan import Study
from .results import Results

STYLES = dict(done='green', running='yellow', failed='red', waiting='dim')
STYLES.update({'cut off': 'magenta', 'outdated': 'magenta'})


class Standing(NamedTuple):
    """State of a run.

    Attributes:
        arm: Name of the arm.
        seed: Seed of the run.
        state: 'done', 'running', 'failed', 'cut off' (interrupted),
            'outdated' (the result is for another config) or 'waiting'.
        phase: 'train', ``test NAME`` during a test, or '' if neither runs.
        share: Share of the iterations that are done, in [0, 1].
        eta: Remaining time of training in seconds; None if it is unknown.
        step: Time of an iteration in seconds; None if it is unknown.
        record: Result of the run; None if there is none.
    """

    arm: str
    seed: int
    state: str
    phase: str
    share: float
    eta: Optional[float]
    step: Optional[float]
    record: Optional[dict]


def standing_of(study: Study,
                arm: str,
                seed: int,
                *,
                todo: Collection[Tuple[str, int]],
                failed: Collection[Tuple[str, int]] = ()) -> Standing:
    """Read the state of a run from its files.

    Args:
        study: Study of the run.
        arm: Name of the arm.
        seed: Seed of the run.
        todo: Pairs of arm and seed of the runs without a valid result.
        failed: Pairs of arm and seed of the runs that failed in this queue.
    """
    record = Results(study.results).read(arm, seed)
    root = Path('work_dirs', 'studies', study.name)
    found = sorted(
        root.glob(f'{arm}_seed{seed}_*/progress.json'),
        key=lambda path: path.stat().st_mtime)
    if (arm, seed) not in todo:
        return Standing(arm, seed, 'done', '', 1., None, None, record)
    state = 'outdated' if record else 'cut off' if found else 'waiting'
    if (arm, seed) in failed:
        state = 'failed'
    if not found:
        return Standing(arm, seed, state, '', 0., None, None, record)
    if _held(found[-1].with_name('lock')):
        state = 'running'
    progress = json.loads(found[-1].read_text())
    if progress['phase'] == 'failed':
        return Standing(arm, seed, 'failed', '', 0., None, None, record)
    if progress['phase'] != 'train':
        return Standing(arm, seed, state, progress['phase'], 1., None, None,
                        record)
    left = progress['of'] - progress['done']
    return Standing(arm, seed, state, 'train',
                    progress['done'] / progress['of'],
                    left * progress['step'], progress['step'], record)


def _held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def table(study: Study, standings: Sequence[Standing]) -> Table:
    """Return a table with a row for each run.

    Args:
        study: Study of the runs.
        standings: States of its runs.
    """
    done = [s for s in standings if s.state == 'done']
    shown = Table(title=f'{study.name}: {len(done)} of {len(standings)} runs '
                  f'done, {time.strftime("%H:%M:%S")}')
    for name in ('arm', 'seed', 'state', 'progress', 'left', 's/it'):
        shown.add_column(name, no_wrap=True)
    for metric in study.scores:
        shown.add_column(metric, justify='right', no_wrap=True)
    for item in standings:
        style = STYLES[item.state]
        state = item.state
        if state == 'running' and item.phase != 'train':
            state = f'{state} ({item.phase})'
        step = item.step
        if item.record and step is None:
            step = item.record.get('step_ms', 0) / 1e3
        shown.add_row(
            item.arm, str(item.seed), f'[{style}]{state}[/]',
            f'{_bar(item.share)} {item.share:4.0%}',
            '' if item.eta is None or item.state == 'done' else
            f'{item.eta / 60:.0f} min',
            f'{step:.2f}' if step else '',
            *(_scores(item.record, metric) for metric in study.scores))
    return shown


def _bar(share: float, width: int = 10) -> str:
    full = round(share * width)
    return '━' * full + '·' * (width - full)


def _scores(record: Optional[dict], metric: str) -> str:
    """Return the scores of a run as text, with one line per test."""
    if record is None:
        return ''
    lines: List[str] = []
    for name, test in record['tests'].items():
        value = test['scores'].get(metric)
        text = '-' if value is None else (
            f'{value:.4f}' if abs(value) <= 1 else f'{value:.2f}')
        lines.append(f'{name} {text}' if len(record['tests']) > 1 else text)
    return '\n'.join(lines)
