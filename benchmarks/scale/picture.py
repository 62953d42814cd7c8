"""The picture of the curves: small panels of time and memory."""
import io
import math
from pathlib import Path
from typing import Dict, Sequence

from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.files import write_whole

from .fit import growth

# of the palette of Okabe and Ito, which the colour-blind tell apart
TIME, MEMORY = '#0072B2', '#D55E00'
COLUMNS = 4


def draw(results: Dict, path: Path) -> None:
    """Write a PNG with a panel of time above one of memory for each curve.

    Args:
        results: Results with measured curves.
        path: Path of the PNG.

    Raises:
        ValueError: If nothing is measured.
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise extra_error('the picture needs matplotlib', 'benchmarks',
                          error, 'the page is made without it') from error
    curves = [c for c in results['curves'].values() if c['points']]
    if not curves:
        raise ValueError('a picture needs a measured curve, got none: run '
                         '`python -m benchmarks.scale` first')
    rows = math.ceil(len(curves) / COLUMNS)
    figure = Figure(figsize=(2.7 * COLUMNS, 4.4 * rows),
                    layout='constrained')
    panels = figure.subplots(2 * rows, COLUMNS, squeeze=False)
    for axes in panels.flat:
        axes.set_visible(False)
    for number, curve in enumerate(curves):
        row, column = 2 * (number // COLUMNS), number % COLUMNS
        above, below = panels[row, column], panels[row + 1, column]
        above.set_title(f'{curve["title"]}\nover {curve["unit"]}',
                        fontsize=9)
        slopes = growth(curve['points'])
        _panel(above, curve, 'ms', TIME, slopes.get('time'))
        _panel(below, curve, 'extra_mb', MEMORY, slopes.get('memory'))
        below.set_xlabel(curve['unit'], fontsize=8)
        if column == 0:
            above.set_ylabel('CPU time of a step, ms', fontsize=8)
            below.set_ylabel('extra memory, MB', fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=110)
    write_whole(path, data.getvalue())


def _panel(axes, curve: Dict, key: str, color: str, slope) -> None:
    """Draw the measured points, joined by a line, on log-log axes."""
    points = [(p['size'], p[key]) for p in curve['points'] if p[key]]
    axes.set_visible(True)
    axes.set_xscale('log')
    axes.set_yscale('log')
    axes.grid(alpha=.3)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.minorticks_off()
    if not points:
        return
    sizes, values = zip(*points)
    ticks = sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]})
    axes.set_xticks(ticks, [_compact(size) for size in ticks])
    axes.yaxis.set_major_formatter(lambda value, _: _compact(value))
    axes.plot(sizes, values, 'o-', color=color, markersize=4, linewidth=1)
    axes.set_ylim(*_limits(values))
    if slope is not None:
        axes.text(.04, .93, f'exponent {slope:.2f}', fontsize=8,
                  transform=axes.transAxes, va='top')


def _compact(value: float) -> str:
    """Return a number such as 0.1, 250, 9.8k or 10M."""
    for unit, name in ((1e6, 'M'), (1e3, 'k')):
        if value >= unit:
            return f'{value / unit:.3g}{name}'
    return f'{value:.3g}'


def _limits(values: Sequence[float]) -> Sequence[float]:
    """Return limits of at least two decades, so that flat looks flat."""
    low, high = math.log10(min(values)), math.log10(max(values))
    margin = max(.15, 1 - (high - low) / 2)
    return 10**(low - margin), 10**(high + margin + .3)
