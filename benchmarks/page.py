"""The page of results, made from their files."""
from typing import Dict, List, Optional, Sequence

from .case import Case
from .cases import NAMES, load_case
from .table import DASH, case_rows, ratio, share

NOT_MEASURED = 'not measured'

HEAD = """# Benchmarks

Made by `python -m benchmarks report`{files}; do not edit.

```sh
python -m benchmarks --list
python -m benchmarks --cases C1,K1 --out results.json
```

Each case runs this package beside a peer on the same tensors in one process:
the published formulas, written anew as their users run them, or a library
itself at its best setting. Both sides must give the same results before
anything is timed. They then run in turn (A B B A) on one thread; the time is
the CPU time of that thread, so that other processes disturb it little and the
time that the system takes for fresh memory counts. A ratio is the median over
pairs of neighbours of the peer's time by ours, above 1 where this package is
faster, with its 95 % bootstrap interval. In every round this package also runs
against itself: where that control is more than 5 % off, nothing is published.

PyTorch takes memory in pages of 4 kB unless it is told to ask for huge ones
(`THP_MEM_ALLOC_ENABLE=1`), which makes fresh memory cheap for either side. The
ratio with huge pages is the conservative one. Extra memory is the peak beyond
the inputs of a step in a fresh process, ours / peer in MB. Calls are aten
calls without views, then synchronisations of the host with the device, ours /
peer, and those of ours on tensors of the meta device, as on a GPU. Times are
milliseconds with default pages. A target is that of the project, in the unit
of the ratio unless it says otherwise. A commit with a `+` had changes that
were not committed; the digest after it tells them apart.

[Scale](scale.md) has the curves of time and memory over the size of banks,
batches and instances, and a command that plans a setting.
"""


def page_text(files: Sequence[Dict], names: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        files: Results, of a CPU first or alone; those of a GPU fill its
            column.
        names: Paths of the files as the page shall name them; relative.

    Raises:
        ValueError: When there is none of a CPU, or two of a kind.
    """
    cpu = [one for one in files if one['machine']['device'] == 'cpu']
    gpu = [one for one in files if one['machine']['device'] != 'cpu']
    if len(cpu) != 1 or len(gpu) > 1:
        raise ValueError(
            'the page needs the results of one CPU, and may have those of '
            f'one GPU, got {len(cpu)} and {len(gpu)}')
    of_files = ' from ' + ' and '.join(
        f'`{name}`' for name in names) if names else ''
    parts = [HEAD.format(files=of_files), _machines(cpu[0], gpu)]
    for name in NAMES:
        parts.append(_section(
            load_case(name), cpu[0]['cases'].get(name),
            gpu[0]['cases'].get(name) if gpu else None))
    return '\n'.join(parts)


def _machines(cpu: Dict, gpu: Sequence[Dict]) -> str:
    lines = ['## Machines', '']
    for kind, results in (('CPU', cpu), *(('GPU', one) for one in gpu)):
        about = results['machine']
        name = about['cpu'] if kind == 'CPU' else about['device']
        versions = ', '.join(
            f'{key} {value}' for key, value in about['versions'].items())
        lines.append(
            f'- {kind}: {name}, {about["instructions"]}, {about["system"]}, '
            f'Python {about["python"]}, {versions}.')
    if not gpu:
        lines.append(f'- GPU: {NOT_MEASURED}.')
    return '\n'.join(lines) + '\n'


def _section(case: Case, entry: Optional[Dict],
             gpu: Optional[Dict]) -> str:
    lines = [f'## {case.name}: {case.title}', '']
    if case.note:
        lines += [case.note, '']
    if entry is None:
        return '\n'.join(lines + [f'{NOT_MEASURED.capitalize()}.', ''])
    columns = _columns(case)
    rows = [list(columns.values()), ['---'] * len(columns)]
    for setup, row in zip(entry['setups'], case_rows(entry)):
        cells = dict(row, gpu=_gpu_cell(case, setup, gpu))
        if case.as_share:
            for pages in ('default', 'huge'):
                cells[pages] = share(setup['pages'].get(pages))
        rows.append([cells.get(key, DASH) for key in columns])
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    lines += [''] + _remarks(entry)
    if case.limits:
        lines += ['', f'**Limits.** {case.limits}']
    return '\n'.join(lines) + '\n'


def _columns(case: Case) -> Dict[str, str]:
    """Return the columns of a case and their heads."""
    columns = dict(setup='setup', sizes='sizes')
    if not case.timed:
        return dict(columns, calls='calls, syncs', meta='of ours on meta',
                    target='target', gpu='GPU')
    if case.name == 'S1':
        return dict(columns, ours_ms='ms', memory='extra MB',
                    calls='calls, syncs', gpu='GPU ms')
    what = 'share of the step' if case.as_share else 'ratio'
    return dict(
        columns, ours_ms='ours ms', peer='peer', peer_ms='peer ms',
        default=what, huge='with huge pages', memory='extra MB',
        calls='calls, syncs', target='target', gpu='GPU')


def _gpu_cell(case: Case, setup: Dict, gpu: Optional[Dict]) -> str:
    for other in gpu['setups'] if gpu else ():
        if other['name'] == setup['name']:
            times = other['pages'].get('default')
            if case.as_share:
                return share(times)
            if times and 'ratio' not in times and 'ours_ms' in times:
                return f'{times["ours_ms"]:.2f}'
            return ratio(times)
    return NOT_MEASURED


def _remarks(entry: Dict) -> List[str]:
    """Return the lines below a table."""
    remarks = []
    exponents = entry['exponents']
    if exponents:
        remarks.append('Exponents over the sizes of ours: ' + ', '.join(
            f'{name} {value:.2f}' for name, value in exponents.items()) + '.')
    for setup in entry['setups']:
        if setup.get('facts'):
            remarks.append(f'{setup["name"]}: ' + ', '.join(
                f'{name} {value:.4g}'
                for name, value in setup['facts'].items()) + '.')
    gaps = [f'{name} {gap:.0e}' if gap else f'{name} 0'
            for name, gap in _largest(entry).items()]
    remarks.append('Largest differences: ' + ', '.join(gaps) + '.')
    times = [t for setup in entry['setups'] for t in setup['pages'].values()
             if 'pairs' in t]
    about = f'Commit {entry["code"] or "unknown"}, {entry["when"]} UTC'
    if times:
        about += (f', {min(t["pairs"] for t in times)} to '
                  f'{max(t["pairs"] for t in times)} times of ours, controls '
                  f'{min(t["control"] for t in times):.3f} to '
                  f'{max(t["control"] for t in times):.3f}')
    if entry['load'][0]:
        about += f', load {entry["load"][0][0]} to {entry["load"][1][0]}'
    remarks.append(about + '.')
    return [line for remark in remarks for line in (remark, '')][:-1]


def _largest(entry: Dict) -> Dict[str, float]:
    """Return the largest difference of each result over the setups."""
    result: Dict[str, float] = {}
    for setup in entry['setups']:
        for name, gap in setup['equal'].items():
            result[name] = max(gap, result.get(name, 0.))
    return result
