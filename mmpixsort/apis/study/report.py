"""Report a study as a Markdown table, a picture, or tables inside pages."""
import math
import re
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple, Union

from mmpixsort.utils.files import write_whole

from .plan import Study
from .results import ResultRow, rows, unequal
from .statistics import Difference, difference, spread

BLOCK = re.compile(
    r'(<!-- study: (?P<path>\S+)(?P<scores>(?: [\w./-]+)*) -->\n).*?'
    r'(<!-- end of study -->)', re.DOTALL)


def baseline_row(study: Study,
                 found: Sequence[ResultRow]) -> Optional[ResultRow]:
    """Return the first row of the baseline, or None if it has no results."""
    return next((row for row in found
                 if row.arm == study.baseline and row.records), None)


def markdown(study: Study, scores: Sequence[str] = ()) -> str:
    """Return the table of a study in Markdown.

    Each row has the number of seeds, the mean and standard deviation of each
    metric, its paired difference to the baseline with 95 % intervals by
    Student's t and by the bootstrap, the time of an iteration and the memory
    of the process.

    Args:
        study: Study to report.
        scores: Metrics to show; an empty sequence shows those of the study.
    """
    scores = tuple(scores) or study.scores
    found = [row for row in rows(study) if row.records]
    if not found:
        return f'No result of {study.name} yet.\n'
    base = baseline_row(study, found)
    compared = [row for row in found if base and row is not base]
    head = ['arm', 'seeds']
    for metric in scores:
        head += [metric, 'difference (95 % by t; by bootstrap)'
                 ][:1 + bool(compared)]
    head += ['s an iteration', 'MB']
    lines = [_line(head), '|---' * len(head) + '|']
    for row in found:
        cells = [row.name, str(len(row.records))]
        for metric in scores:
            cells += _cells(row, base, metric)[:1 + bool(compared)]
        lines.append(_line(cells + _costs(row)))
    notes = [
        f'{arm}, seed {seed}: other {what} than {study.baseline}'
        for arm, seed, what in unequal(study)
    ]
    if notes:
        lines += ['', 'Not paired exactly: ' + '; '.join(notes) + '.']
    return '\n'.join(lines) + '\n'


def _line(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _cells(row: ResultRow, base: Optional[ResultRow],
           metric: str) -> Tuple[str, str]:
    scores = row.scores(metric)
    if not scores:
        return '-', ''
    mean, sd, _ = spread(scores)
    # some hosts report shares, others percentages
    digits = 4 if max(map(abs, scores.values())) <= 1 else 2
    text = f'{mean:.{digits}f}'
    if not math.isnan(sd):
        text += f' ± {sd:.{digits}f}'
    if base is None or row is base:
        return text, ''
    return text, _difference(
        difference(scores, base.scores(metric)), digits)


def _difference(found: Optional[Difference], digits: int) -> str:
    if found is None:
        return ''
    text = f'{found.mean:+.{digits}f}'
    if found.by_t is None:
        return text
    by_t, by_bootstrap = (
        f'{low:+.{digits}f} to {high:+.{digits}f}'
        for low, high in (found.by_t, found.by_bootstrap))
    return f'{text} ({by_t}; {by_bootstrap})'


def _costs(row: ResultRow) -> List[str]:
    """Return the mean time of a step and the peak memory of the process."""
    steps = [r['step_ms'] for r in row.records.values() if r.get('step_ms')]
    memory = [
        r['memory_mb'] for r in row.records.values() if r.get('memory_mb')
    ]
    return [
        f'{sum(steps) / len(steps) / 1e3:.2f}' if steps else '-',
        f'{sum(memory) / len(memory):.0f}' if memory else '-'
    ]


def update_pages(pages: Sequence[Union[str, Path]],
                 read: Callable[[str], Study]) -> List[Path]:
    """Update the tables of studies in Markdown pages.

    A table lies between the marks ``<!-- study: PATH [METRIC ...] -->`` and
    ``<!-- end of study -->``.

    Args:
        pages: Paths of Markdown files.
        read: Function that returns the study at a PATH.

    Returns:
        The paths of the pages that changed.
    """
    changed = []
    for page in map(Path, pages):
        text = page.read_text()
        new = fill_page(text, read)
        if new != text:
            write_whole(page, new)
            changed.append(page)
    return changed


def fill_page(text: str, read: Callable[[str], Study]) -> str:
    """Return a page with the tables of its studies updated."""

    def fill(match) -> str:
        table = markdown(read(match['path']), match['scores'].split())
        return f'{match[1]}\n{table}\n{match[4]}'

    return BLOCK.sub(fill, text)


def picture(study: Study, path: Union[str, Path],
            metric: Optional[str] = None) -> None:
    """Draw the paired scores of a study to a PNG file.

    There is a panel for each row other than the baseline, with the scores of
    the baseline on the left and those of the row on the right. Each dot is a
    seed, and a line joins the two scores of a seed.

    Args:
        study: Study with results of the baseline and of another arm.
        path: Path of the PNG file.
        metric: Metric to draw; None draws the first metric of the study.

    Raises:
        ValueError: If there are no results to compare yet.
    """
    from matplotlib.figure import Figure
    metric = metric or study.scores[0]
    found = [row for row in rows(study) if row.scores(metric)]
    base = baseline_row(study, found)
    others = [row for row in found if row is not base]
    if base is None or not others:
        raise ValueError(f'the picture of {study.name} needs results of '
                         f'{study.baseline!r} and of another arm; run '
                         'tools/study.py run first')
    figure = Figure(figsize=(1.2 + 1.5 * len(others), 3.4),
                    layout='constrained')
    panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
    before = base.scores(metric)
    for axes, row in zip(panels, others):
        after = row.scores(metric)
        for seed in sorted(set(before) & set(after)):
            pair = before[seed], after[seed]
            axes.plot((0, 1), pair, color='tab:green' if pair[1] > pair[0]
                      else 'tab:red', linewidth=1, alpha=.7)
        for x, scores in ((0, before), (1, after)):
            axes.scatter([x] * len(scores), list(scores.values()), s=22,
                         color='black' if x else 'grey', zorder=3)
        title = row.name.replace(', ', '\n')
        gain = difference(after, before)
        if gain is not None:
            title += f'\n{gain.mean:+.2f}'
        axes.set_title(title, fontsize=8)
        axes.set_xticks((0, 1), (base.arm, row.arm), fontsize=7,
                        rotation=30, ha='right')
        axes.set_xlim(-.3, 1.3)
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(axis='y', alpha=.3)
    panels[0].set_ylabel(metric)
    figure.savefig(path, dpi=150)
