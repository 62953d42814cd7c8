"""Download trained models, and verify them.

The files come from the folder or URL that the environment variable
MMPIXSORT_ZOO names, by default from model_zoo/ of this checkout. A download
that breaks off is continued when the command is repeated.

Examples:
    python tools/download.py --list
    python tools/download.py textgroup_tiny-rgbxy-km16_1xb32-3k_shapes-64x64 \\
        --dest checkpoints
    python tools/download.py 'segsort*' --dest checkpoints
"""
import argparse

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'names', nargs='*', metavar='NAME',
        help='names of models, or patterns with * and ?, which stand for all '
        'trained models that they fit')
    parser.add_argument(
        '--dest', default='.',
        help='folder to put the files into (default: this folder)')
    parser.add_argument(
        '--list', action='store_true',
        help='list the models that fit the names, by default all, and '
        'download nothing')
    parser.add_argument(
        '--task', help='semantic, instance or panoptic: only models of this '
        'task')
    args = parser.parse_args()
    if not args.names and not args.list:
        parser.error('name a model or a pattern, or use --list')
    return args


def chosen(args: argparse.Namespace) -> list:
    """Return the names of the models, each once."""
    from mmpixsort.apis.zoo import find_model, list_models
    if not args.names:
        return list_models(task=args.task)
    names = []
    for name in args.names:
        if set(name) & set('*?['):
            trained = None if args.list else True
            found = list_models(name, task=args.task, trained=trained)
            if not found:
                raise ValueError(
                    f'NAME must fit a model{" with weights" * bool(trained)},'
                    f' got {name!r}; --list shows all')
        else:
            found = [find_model(name).name]
        names += found
    return list(dict.fromkeys(names))


def show(names: list) -> None:
    """Print a line for each model."""
    from mmpixsort.apis.zoo import find_model
    for name in names:
        model = find_model(name)
        size = sum(file.size for file in model.files()) / 1e6
        scores = ', '.join(
            f'{value:.4g} {key}' for key, value in model.scores.items())
        state = f'{size:.1f} MB, {scores}' if size else model.state
        print(f'{name}: {model.data}; {state}')


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.zoo import download_model
    with errors_as_text():
        names = chosen(args)
        if args.list:
            show(names)
            return
        for name in names:
            for path in download_model(name, args.dest):
                print(f'{path} ({path.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    main()
