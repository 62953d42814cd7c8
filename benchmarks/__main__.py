"""Run the benchmark suite, or make the page from its results."""
import argparse
import sys
from pathlib import Path
from typing import List, Optional

from .environment import machine
from .results import open_results, read_results
from .runner import Settings, run_cases

EXAMPLE = """examples:
  python -m benchmarks --list
  python -m benchmarks --cases C1,K1 --out results.json
  python -m benchmarks --out benchmarks/results/cpu.json
  python -m benchmarks report benchmarks/results/cpu.json \\
      --page docs/benchmarks.md

Each case asserts that both sides compute the same, then times them in turn
(A B B A) on one thread, with the default pages of memory and with huge ones,
each in a process of its own. It is the CPU time of the thread, so that other
processes disturb it little, and where the same function measured against
itself is more than 5 % off, nothing is published. A run that was cut off goes
on with what is missing when it is started again."""


def parse_args(words: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', description=__doc__, epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--cases', metavar='C1,K1', help='cases to run (default: all)')
    parser.add_argument(
        '--list', action='store_true', help='list the cases and end')
    parser.add_argument(
        '--out', type=Path, help='file of the results, written after every '
        'case; cases that it has of the same code and settings are not run '
        'again')
    parser.add_argument(
        '--fresh', action='store_true', help='measure again what the file '
        'has; results of another machine are dropped')
    parser.add_argument(
        '--pairs', type=int, default=15, help='pairs of ours and the peer '
        'for each setup (default: 15)')
    parser.add_argument(
        '--seconds', type=float, default=60., help='budget of a case, shared '
        'by its setups; each gets three rounds at least (default: 60)')
    parser.add_argument(
        '--device', choices=['cpu', 'cuda'], default='cpu',
        help='cuda: by CUDA events, cases with a GPU form only')
    parser.add_argument(
        '--tiny', action='store_true', help='sizes at which times mean '
        'nothing, to see that everything runs')
    return parser.parse_args(words)


def parse_report_args(words: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks report',
        description='Make the page of the results.')
    parser.add_argument(
        'results', type=Path, nargs='+', help='files of results: that of a '
        'CPU, and that of a GPU if there is one')
    parser.add_argument(
        '--page', type=Path, help='file to write (default: print it)')
    return parser.parse_args(words)


def choose(text: Optional[str], names: List[str]) -> List[str]:
    """Return the cases that were asked for.

    Raises:
        ValueError: On a name that is none.
    """
    if text is None:
        return names
    chosen = [name.strip().upper() for name in text.split(',')]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(f'`--cases` must be among {", ".join(names)}, got '
                         f'{", ".join(unknown)}')
    return chosen


def run(args: argparse.Namespace) -> int:
    """Run cases; return the exit code."""
    from .cases import NAMES, load_case
    from .table import text_table
    if args.list:
        for name in NAMES:
            print(f'{name:3} {load_case(name).title}')
        return 0
    names = choose(args.cases, list(NAMES))
    for option in ('pairs', 'seconds'):
        if getattr(args, option) <= 0:
            raise ValueError(f'`--{option}` must be above 0, got '
                             f'{getattr(args, option)}')
    settings = Settings(args.device, args.pairs, args.seconds, args.tiny)
    results = open_results(args.out, machine(args.device), args.fresh)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        wanting = run_cases(
            names, results=results, settings=settings, out=args.out,
            fresh=args.fresh, load_case=load_case, say=say)
    except KeyboardInterrupt:
        say('stopped; ' + (
            'the same command goes on with the cases that are missing'
            if args.out else 'with --out the finished cases would be kept'))
        return 130
    print(text_table(results, names))
    if wanting:
        say(f'wanting: {", ".join(wanting)}; the same command tries them '
            'again')
    return 1 if wanting else 0


def report(args: argparse.Namespace) -> int:
    """Write the page; return the exit code."""
    from mmpixsort.utils.files import write_whole

    from .page import page_text
    # a file of elsewhere has a name, but no path that a page could show
    names = [path.as_posix() if not path.is_absolute() else path.name
             for path in args.results]
    text = page_text([read_results(path) for path in args.results], names)
    if args.page is None:
        print(text, end='')
    else:
        write_whole(args.page, text)
    return 0


def main(words: Optional[List[str]] = None) -> int:
    """Run the suite or make its page; return the exit code."""
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
