"""The page of the curves, made from their file."""
from typing import Dict, List, Optional

from .fit import LAST, growth

HEAD = """# Scale

Made by `python -m benchmarks.scale report {file} --page docs/scale.md
--picture docs/images/scale.png`; do not edit.

How the time and the memory of this package grow with the sizes that users
choose. [Benchmarks](benchmarks.md) compares it with other code.

![Time and extra memory over the size, log-log](images/scale.png)

*Dots are measured points; the lines only join them. Above: CPU time of one
step on one thread. Below: peak memory beyond the inputs.*

```sh
python -m benchmarks.scale --out scale.json
python -m benchmarks.scale --curves bank,retrieval --quick
```

The time is the median of {samples} samples of the CPU time of one thread,
with pages of 4 kB. The extra memory is the peak of the resident set of a
fresh process beyond the inputs, in MB of 2^20 bytes. An exponent is the slope
of a line of least squares through the logs: 1 where the time is proportional
to the size, 0 where it does not depend on it. The second exponent is that of
the last {last} points, where fixed costs are small.
"""
PLAN = """## Plan a setting

`python -m mmpixsort.plan` states what your own setting takes before it is
run, from a config or from numbers:

```sh
python -m mmpixsort.plan CONFIG --ranks 8
python -m mmpixsort.plan --classes 19 --capacity 5000 --dims 256 \\
    --anchors 1024 --ranks 8 --retrieval-rows 1000000
```

Sizes of banks and of what ranks exchange in a step are exact; the tests
compare them with the buffers of the modules and with the tensors that they
send. The peak of the loss is that of its tensors, found by a run of the loss
on tensors that have a shape and no data, with the tiles of a CPU and with
those of a GPU. The allocator holds more than the tensors: the tests allow a
measured peak of 1.6 times the planned one. Losses are planned without a
miner, and the command prints MB of 10^6 bytes. Times are those of the curves
above, between their points on straight lines of the log-log picture, times
the ratio of the anchors (or queries), times the ratio of both dims on the
curve over embedding dims. `--measured FILE` takes the curves of your machine.
"""
CHECKS = """The settings below lie on no curve.

| setting | planned ms | measured ms | planned MB | measured MB |
| --- | --- | --- | --- | --- |
"""


def page_text(results: Dict, file: str) -> str:
    """Return the page.

    Args:
        results: Results of the curves.
        file: Path of the file as the page shall name it; relative.
    """
    machine = results['machine']
    versions = ', '.join(
        f'{key} {value}' for key, value in machine['versions'].items()
        if key in ('torch', 'numpy'))
    counts = [point['samples'] for curve in results['curves'].values()
              for point in curve['points']] or [0]
    samples = ' to '.join(map(str, sorted({min(counts), max(counts)})))
    parts = [
        HEAD.format(file=file, samples=samples, last=LAST),
        f'CPU: {machine["cpu"]}, {machine["instructions"]}, '
        f'{machine["system"]}, Python {machine["python"]}, {versions}. '
        f'GPU: not measured. Commit {_commits(results)}.\n', _exponents(
            results)]
    parts += [_points(name, curve)
              for name, curve in results['curves'].items()]
    parts.append(PLAN)
    if results.get('checks'):
        parts.append(CHECKS + ''.join(
            f'| {c["sizes"]} | {_short(c["planned_ms"])} | {_short(c["ms"])} '
            f'| {_short(c["planned_mb"])} | {_short(c["extra_mb"])} |\n'
            for c in results['checks']))
        parts.append(_agreement(results['checks']))
    return '\n'.join(parts)


def _agreement(checks: List[Dict]) -> str:
    """Return the range of planned over measured times, and of peaks."""
    parts = []
    for name, planned, measured in (('times are', 'planned_ms', 'ms'),
                                    ('peaks are', 'planned_mb', 'extra_mb')):
        ratios = [c[planned] / c[measured] for c in checks
                  if c[planned] and c[measured]]
        if ratios:
            parts.append(f'{name} {min(ratios):.2f} to {max(ratios):.2f}')
    return f'Planned {" and ".join(parts)} of the measured ones.\n'


def _exponents(results: Dict) -> str:
    lines = ['| curve | over | from | to | exponent of time | of the last '
             f'{LAST} | exponent of memory |',
             '| --- | --- | --- | --- | --- | --- | --- |']
    for curve in results['curves'].values():
        sizes = [point['size'] for point in curve['points']]
        whole = growth(curve['points'])
        last = growth(curve['points'][-LAST:])
        lines.append(
            f'| {curve["title"]} | {curve["unit"]} | {min(sizes):,} | '
            f'{max(sizes):,} | {_slope(whole, "time")} | '
            f'{_slope(last, "time")} | {_slope(whole, "memory")} |')
    return '\n'.join(lines) + '\n'


def _points(name: str, curve: Dict) -> str:
    fixed = ', '.join(f'{key.removeprefix("num_").replace("_", " ")} '
                      f'{value:,}' for key, value in curve['fixed'].items())
    columns: List[List[str]] = [
        [curve['unit'], 'ms', 'extra MB'], *(
            [f'{p["size"]:,}', _short(p['ms']), _short(p['extra_mb'])]
            for p in curve['points'])]
    rows = ['| ' + ' | '.join(row) + ' |' for row in zip(*columns)]
    rows.insert(1, '|' + ' --- |' * len(columns))
    return '\n'.join([
        f'## `{name}`: {curve["title"]} over {curve["unit"]}', '',
        f'Fixed: {fixed}.', '', *rows, ''])


def _commits(results: Dict) -> str:
    codes = dict.fromkeys(
        point['code'] or 'unknown' for curve in results['curves'].values()
        for point in curve['points'])
    return ' and '.join(codes)


def _slope(slopes: Dict, name: str) -> str:
    return f'{slopes[name]:.2f}' if name in slopes else '-'


def _short(value: Optional[float]) -> str:
    if value is None:
        return '-'
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'
