"""Measure how time and memory grow with the size, or report it."""
import argparse
import sys
from pathlib import Path
from typing import List, Optional

from benchmarks.environment import machine
from benchmarks.results import read_results, write_results

EXAMPLE = """examples:
  python -m benchmarks.scale --out benchmarks/results/scale_cpu.json
  python -m benchmarks.scale --curves bank,retrieval --quick
  python -m benchmarks.scale report benchmarks/results/scale_cpu.json \\
      --page docs/scale.md --picture docs/images/scale.png

The whole takes about ten minutes and 4 GB of memory. The file is written
after every point, and a run that was cut off goes on with what is missing
when it is started again. Set OMP_NUM_THREADS=1: what is measured is the CPU
time of one thread."""


def parse_args(words: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.scale', description=__doc__,
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--curves', metavar='NAME,NAME', help='curves to measure, without '
        'the checks of mmpixsort.plan (default: all, and the checks)')
    parser.add_argument('--out', type=Path, help='file of the points')
    parser.add_argument(
        '--fresh', action='store_true', help='measure again what it has')
    parser.add_argument(
        '--quick', action='store_true', help='the smallest sizes only')
    return parser.parse_args(words)


def parse_report_args(words: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.scale report',
        description='Make the page and the picture.')
    parser.add_argument('results', type=Path, help='file of the points')
    parser.add_argument(
        '--page', type=Path, help='file to write (default: print it)')
    parser.add_argument('--picture', type=Path, help='PNG to write')
    return parser.parse_args(words)


def run(args: argparse.Namespace) -> int:
    """Measure the curves; return the exit code."""
    from .checks import measure_checks
    from .curves import CURVES
    from .measure import measure_curves, open_curves
    from .page import page_text
    names = list(CURVES)
    if args.curves:
        names = [name.strip() for name in args.curves.split(',')]
        unknown = [name for name in names if name not in CURVES]
        if unknown:
            raise ValueError(f'`--curves` must be among {", ".join(CURVES)}, '
                             f'got {", ".join(unknown)}')
    results = open_curves(args.out, machine('cpu'), args.fresh)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        measure_curves(names, results=results, out=args.out,
                       quick=args.quick, say=say)
        if not args.curves:
            measure_checks(results, quick=args.quick, say=say)
            if args.out is not None:
                write_results(args.out, results)
    except KeyboardInterrupt:
        say('stopped; the same command goes on with the points that are '
            'missing' if args.out else 'stopped; --out keeps the points')
        return 130
    if args.out is None:
        print(page_text(results, 'scale.json'))
    return 0


def report(args: argparse.Namespace) -> int:
    """Write the page and the picture; return the exit code."""
    from mmpixsort.utils.files import write_whole

    from .page import page_text
    from .picture import draw
    results = read_results(args.results)
    if 'curves' not in results:
        raise ValueError(
            f'{str(args.results)!r} must be a file of curves, which `python '
            '-m benchmarks.scale --out` writes, got one of cases')
    name = args.results
    text = page_text(
        results, name.name if name.is_absolute() else name.as_posix())
    if args.page is None:
        print(text, end='')
    else:
        write_whole(args.page, text)
    if args.picture is not None:
        draw(results, args.picture)
    return 0


def main(words: Optional[List[str]] = None) -> int:
    """Measure or report; return the exit code."""
    words = sys.argv[1:] if words is None else words
    try:
        if words[:1] == ['report']:
            return report(parse_report_args(words[1:]))
        return run(parse_args(words))
    except (OSError, ValueError, ImportError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
