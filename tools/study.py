"""Run and report a paired study of configs.

Examples:
    python tools/study.py run configs/studies/camvid.py --jobs 2 \\
        --data path/to/camvid --weights path/to/backbone.pth
    python tools/study.py run STUDY --arms plain in-batch --seeds 0 --dry-run
    python tools/study.py status configs/studies/camvid.py
    python tools/study.py report configs/studies/camvid.py --picture camvid.png
    python tools/study.py report --pages docs/results.md docs/protocol.md

When a stopped run is started again by the same command, it continues, and
finished runs are not repeated. docs/studies.md describes the file of a study.
"""
import argparse
import sys
from pathlib import Path

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument('study', help='file of the study')
    shared.add_argument(
        '--data', help='folder that replaces the data_root of all configs')
    shared.add_argument(
        '--weights', help='checkpoint that initialises all backbones')
    run = commands.add_parser(
        'run', parents=[shared], help='train and test what is missing')
    run.add_argument(
        '--jobs', type=int, default=1,
        help='number of runs at a time, which share the cores '
        '(default: %(default)s)')
    run.add_argument(
        '--gpus', default='', help='GPUs that the runs use in turn, e.g. 0,1')
    run.add_argument('--arms', nargs='+', help='run only these arms')
    run.add_argument(
        '--seeds', nargs='+', type=int, help='run only these seeds')
    run.add_argument(
        '--dry-run', action='store_true', help='only print the commands')
    commands.add_parser(
        'status', parents=[shared], help='show the states of the runs')
    report = commands.add_parser(
        'report', help='print the table, draw the picture, update the pages')
    report.add_argument('study', nargs='?', help='file of the study')
    report.add_argument(
        '--scores', nargs='+', default=(), help='metrics of the table')
    report.add_argument('--picture', help='PNG file to draw')
    report.add_argument(
        '--pages', nargs='+', default=(), help='Markdown files in which the '
        'tables between the marks of studies are updated')
    args = parser.parse_args(argv)
    if getattr(args, 'jobs', 1) < 1:
        parser.error(f'--jobs must be positive, got {args.jobs}')
    if args.command == 'report' and not (args.study or args.pages):
        parser.error('report expects the file of a study, or --pages')
    return args


def main(argv=None) -> None:
    args = parse_args(argv)
    quiet_hosts()
    from mmpixsort.apis.study import Place, read_study
    with errors_as_text():
        if args.command == 'report':
            report(args, read_study)
            return
        study = read_study(args.study)
        place = Place(*(None if path is None else str(Path(path).resolve())
                        for path in (args.data, args.weights)))
        sys.exit(run(args, study, place))


def run(args: argparse.Namespace, study, place) -> int:
    """Run or show a study, and return the number of runs that failed."""
    from rich.console import Console

    from mmpixsort.apis.study import queue
    console = Console()
    if not console.is_terminal:  # write the whole table to a file
        console.width = 120
    if args.command == 'status':
        console.print(queue.status(study, place))
        return 0
    if args.dry_run:
        chosen = queue.select(study, args.arms, args.seeds)
        todo = queue.jobs(chosen, study, place)
        print(queue.dry_run(study, place, todo, args.jobs))
        return 0
    failed = queue.run_study(
        study, arms=args.arms, seeds=args.seeds, num_jobs=args.jobs,
        gpus=[gpu for gpu in args.gpus.split(',') if gpu], place=place,
        console=console)
    return len(failed)


def report(args: argparse.Namespace, read_study) -> None:
    from mmpixsort.apis.study.report import markdown, picture, update_pages
    for page in update_pages(args.pages, read_study):
        print(f'wrote {page}')
    if args.study:
        study = read_study(args.study)
        print(markdown(study, args.scores), end='')
        if args.picture:
            picture(study, args.picture)
            print(f'wrote {args.picture}')


if __name__ == '__main__':
    main()
