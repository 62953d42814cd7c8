"""Measure one case with one setting of the pages, in a process of its own.

`python -m benchmarks` starts this process, since torch reads the setting of
the pages when it is imported.
"""
import argparse
import gc
import json
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional

import torch

from .case import Case, Setup, Trial
from .cases import load_case
from .clocks import Clock
from .counts import count_calls
from .environment import PAGES, check_device, load
from .equality import check_equal
from .memory import peak_extra_mb
from .protocol import Plan, measure


def measure_case(case: Case,
                 *,
                 device: str,
                 plan: Plan,
                 pages: str,
                 tiny: bool = False,
                 clock: Optional[Callable] = None,
                 report: Callable[[str], None] = print) -> Dict:
    """Return the measurements of every setup with one setting of the pages.

    Args:
        case: Case to measure.
        device: 'cpu' or 'cuda'.
        plan: Amount of measurement; the setups share its seconds.
        pages: 'default' or 'huge', with which torch was started. Memory,
            calls and facts are measured with 'default' only.
        tiny: Whether to use the tiny setups.
        clock: Function that returns the seconds of a call; None uses that of
            the device.
        report: Function that is called with lines about the progress.

    Raises:
        UnequalResults: If the two sides do not compute the same.
    """
    torch.set_num_threads(1)
    setups = [setup for setup in case.setups(tiny)
              if device in setup.devices]
    if pages == 'default' and not tiny:
        # libraries keep what their first call allocates: not of one side
        for setup in case.setups(True)[:1]:
            setup.build(torch.device(device)).equals()
    rows = []
    plan = plan._replace(seconds=plan.seconds / max(1, len(setups)))
    for number, setup in enumerate(setups, 1):
        report(f'{case.name}, {pages} pages, {number} of {len(setups)}: '
               f'{setup.name}')
        rows.append(_measure_setup(
            case, setup, device, plan, pages, clock, report))
        gc.collect()
    return dict(setups=rows, load=load())


def _measure_setup(case: Case, setup: Setup, device: str, plan: Plan,
                   pages: str, clock: Optional[Callable],
                   report: Callable[[str], None]) -> Dict:
    row = dict(name=setup.name, sizes=setup.sizes, peer=setup.peer,
               target=setup.target)
    if setup.scale is not None:
        row['scale'] = setup.scale
    first = pages == 'default'
    if first and case.timed:
        row['memory'] = _memory(setup, device)
    trial = setup.build(torch.device(device))
    where = f'{case.name}, {setup.name}'
    row['equal'] = check_equal(where, trial.equals())
    if first:
        row['calls'] = _calls(trial)
        row['facts'] = trial.facts()
    if case.timed:
        row['times'] = measure(
            trial.ours, trial.peer, clock=clock or Clock(device), plan=plan,
            report=lambda text: report(f'{where}: {text}'))
    return row


def _memory(setup: Setup, device: str) -> Dict[str, Optional[float]]:
    def prepare(side: str) -> Callable:
        return getattr(setup.build(torch.device(device)), side)

    sides = ['ours'] + ['peer'] * bool(setup.peer)
    return {side: peak_extra_mb(lambda: prepare(side), device)
            for side in sides}


def _calls(trial: Trial) -> Dict[str, Dict[str, int]]:
    sides = dict(ours=trial.ours, peer=trial.peer, meta=trial.meta)
    return {side: count_calls(step) for side, step in sides.items()
            if step is not None}


def main(words: Optional[List[str]] = None) -> None:
    """Measure and write the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('case')
    parser.add_argument('--pages', choices=PAGES, required=True)
    parser.add_argument('--device', required=True)
    parser.add_argument('--pairs', type=int, required=True)
    parser.add_argument('--seconds', type=float, required=True)
    parser.add_argument('--tiny', action='store_true')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args(words)
    check_device(args.device)
    result = measure_case(
        load_case(args.case), device=args.device, pages=args.pages,
        plan=Plan(args.pairs, args.seconds), tiny=args.tiny,
        report=lambda text: print(f'  {text}', file=sys.stderr, flush=True))
    args.out.write_text(json.dumps(result))


if __name__ == '__main__':
    main()
