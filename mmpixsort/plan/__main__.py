"""State the memory and the time of a setting before it is run."""
import argparse
import sys
from typing import Dict, List, Optional, Sequence

from mmpixsort.banks.class_queue import DTYPES
from mmpixsort.functional.checks import check_count
from mmpixsort.utils.command import errors_as_text, quiet_hosts

from .table import (Line, contrast_costs, contrast_sizes, retrieval_lines,
                    sorting_lines, text_of)
from .times import read_measured

EXAMPLE = """examples:
  python -m mmpixsort.plan --classes 19 --capacity 5000 --dims 256 --ranks 8
  python -m mmpixsort.plan --method segsort --segments 256 --capacity 2048 \\
      --dims 32 --anchors 14400
  python -m mmpixsort.plan CONFIG --ranks 8
  python -m mmpixsort.plan CONFIG --retrieval-rows 1000000

Sizes of banks and of what ranks exchange are exact; a checkpoint has the
bank too unless persistent=False. The peak of the loss is that of its tensors,
found by a run of the loss on tensors without data; the allocator may hold half
as much again. Times are scaled from measured points of one machine and are no
promise for another. Gradients of the network, which the host exchanges, are
not counted."""
NO_TIMES = ('Times: no measured points are here; `python -m benchmarks.scale '
            '--out FILE` of\na clone measures them, and --measured FILE takes '
            'them.')
METHODS = ('pixel-contrast', 'segsort')
SCOPES = ('batch', 'bank', 'batch_and_bank')
# of an option that neither the command nor a config gives
DEFAULTS = dict(method='pixel-contrast', dtype='float32', images=2, ranks=1,
                bank_pixels=10, gather=False, queries=144,
                retrieval_dtype='float16')
COUNTS = ('classes', 'capacity', 'dims', 'anchors', 'segments', 'images',
          'bank_pixels', 'ranks', 'retrieval_rows', 'queries')
NEEDED = {'pixel-contrast': ('classes', 'capacity', 'dims'),
          'segsort': ('segments', 'capacity', 'dims', 'anchors')}
HELP = {
    'classes': 'number of classes',
    'capacity': 'slots of a class for pixels, and as many for regions; of '
    'segsort, prototypes of past iterations; 0: no bank',
    'dims': 'embedding dims',
    'anchors': 'anchors of a rank (default: 1024); of segsort all pixels, '
    'images x height x width of the embedding',
    'segments': 'of segsort, room for the segments of a rank',
    'images': 'images of a rank (default: 2, or those of the config)',
    'bank_pixels': 'pixels of a class of an image that enter the bank '
    '(default: 10)',
    'ranks': 'number of processes (default: 1)',
    'retrieval_rows': 'segments of a bank for prediction by retrieval',
    'queries': 'segments of an image that are searched for (default: 144)',
}


def parse_args(words: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m mmpixsort.plan', description=__doc__, epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'config', nargs='?', help='config with a PixelContrastHead or a '
        'SegSortHead, which gives the options that are not given here')
    parser.add_argument('--method', choices=METHODS,
                        help='(default: pixel-contrast)')
    for name in COUNTS:
        parser.add_argument(f'--{name.replace("_", "-")}', type=int,
                            metavar='N', help=HELP[name])
    parser.add_argument('--dtype', choices=tuple(DTYPES),
                        help='type of the class queue (default: float32)')
    parser.add_argument('--scope', choices=SCOPES,
                        help='which keys anchors are compared with (default: '
                        'both where there is a bank)')
    parser.add_argument('--gather', action='store_true',
                        help='the anchors of all ranks are keys')
    parser.add_argument('--retrieval-dtype', choices=('float16', 'float32'),
                        help='(default: float16)')
    parser.add_argument(
        '--measured', metavar='FILE', help='measured points of your machine, '
        'by `python -m benchmarks.scale` (default: those of the clone)')
    return parser.parse_args(words)


def plan_text(options: Dict, measured: Optional[Dict]) -> str:
    """Return the table of one head or of one set of options.

    Args:
        options: Options by name.
        measured: Measured points; None: there are none.

    Raises:
        ValueError: If an option is missing or out of range.
    """
    options = {**DEFAULTS, **options}
    method = options['method']
    if method == 'pixel-contrast':
        options.setdefault('anchors', 1024)
    _check(options)
    shape = f'D {options["dims"]}, {options["anchors"]:,} anchors'
    ranks = f'{options["ranks"]} rank' + 's' * (options['ranks'] > 1)
    if method == 'segsort':
        lines = sorting_lines(measured=measured, **_picked(
            options, 'segments', 'capacity', 'dims', 'anchors', 'ranks'))
        title = (f'segment sorting: {shape}, {options["segments"]:,} '
                 f'segments, queue of {options["capacity"]:,}, {ranks}')
    else:
        lines = _contrast_lines(options, measured)
        title = (f'pixel contrast: {options["classes"]} classes, 2 queues of '
                 f'{options["capacity"]:,} each, {options["dtype"]}, {shape}, '
                 f'{options["images"]} images a rank, {ranks}')
    if 'retrieval_rows' in options:
        lines += retrieval_lines(
            rows=options['retrieval_rows'], dims=options['dims'],
            dtype=options['retrieval_dtype'], queries=options['queries'],
            measured=measured)
    return text_of(title, lines)


def _contrast_lines(options: Dict, measured: Optional[Dict]) -> List[Line]:
    """Return the lines of pixel contrast, with the keys in scope."""
    scope = options.get('scope') or (
        'batch_and_bank' if options['capacity'] else 'batch')
    is_gathered = options['gather'] and options['ranks'] > 1
    gathered = options['anchors'] if is_gathered else 0
    lines = contrast_sizes(gathered=gathered, **_picked(
        options, 'classes', 'capacity', 'dims', 'dtype', 'images',
        'bank_pixels', 'ranks'))
    return lines + contrast_costs(
        capacity=options['capacity'] if 'bank' in scope else 0,
        with_batch='batch' in scope, gathered=options['ranks'] * gathered,
        measured=measured, **_picked(
            options, 'classes', 'dims', 'dtype', 'anchors'))


def _picked(options: Dict, *names: str) -> Dict:
    return {name: options[name] for name in names}


def _check(options: Dict) -> None:
    """Raise ValueError on an option that is missing or out of range."""
    method = options['method']
    missing = [name for name in NEEDED[method] if name not in options]
    if missing:
        raise ValueError(
            f'a plan of {method} needs a config, or `--'
            + '`, `--'.join(missing) + '`, which nothing gives; '
            + '; '.join(f'{name}: {HELP[name]}' for name in missing))
    for name in COUNTS:
        if name in options:
            check_count(f'--{name.replace("_", "-")}', options[name],
                        minimum=0 if name == 'capacity' else 1)
    if options.get('scope') == 'bank' and not options['capacity']:
        raise ValueError("`--capacity` must be above 0 for `--scope bank`, "
                         'got 0; choose another scope')
    if options['gather'] and options.get('scope') == 'bank':
        raise ValueError('`--gather` needs keys of the batch, got `--scope '
                         'bank`; choose another scope')


def main(words: Optional[List[str]] = None) -> int:
    """Print the plan; return the exit code.

    Args:
        words: Words of the command line; None takes those of the process.
    """
    given = vars(parse_args(words))
    config = given.pop('config', None)
    quiet_hosts()
    with errors_as_text():
        measured = read_measured(given.pop('measured', None))
        plans = [given]
        if config is not None:
            from .heads import plans_of_config
            plans = plans_of_config(config, **given)
        print('\n\n'.join(plan_text(plan, measured) for plan in plans))
    print('\n' + (NO_TIMES if measured is None else 'Times: one thread of '
                  f'{measured["machine"]["cpu"]}.'))
    return 0


if __name__ == '__main__':
    sys.exit(main())
