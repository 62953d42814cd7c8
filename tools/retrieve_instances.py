"""Retrieve instances by their embedding, and show their surroundings.

`build` writes a bank with the embedding of every instance of a data set and
the classes around it. `query` writes NAME.html, a page that needs no other
files, and NAME.png, which show instances beside the nearest instances of other
images. `score` measures how similar the surroundings of instances and of their
nearest instances are.

Examples:
    python tools/retrieve_instances.py build CONFIG CHECKPOINT \\
        --out x.bank --split val
    python tools/retrieve_instances.py query CONFIG CHECKPOINT x.bank \\
        image.jpg --out shown
    python tools/retrieve_instances.py query CONFIG CHECKPOINT x.bank \\
        --bank-row 3 5 --num-neighbors 8
    python tools/retrieve_instances.py score x.bank --out-json score.json
"""
import argparse
import json
from pathlib import Path

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) and checkpoints of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmdet')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    net = argparse.ArgumentParser(add_help=False)
    net.add_argument('config', help='path of the config')
    net.add_argument('checkpoint', help='path of the weights')
    net.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config, e.g. '
        'val_dataloader.dataset.indices=50 for fewer images')
    _add_build(commands.add_parser(
        'build', parents=[net], help='describe the instances of a data set'))
    _add_query(commands.add_parser(
        'query', parents=[net], help='show instances and the nearest ones'))
    _add_score(commands.add_parser(
        'score', help='compare the surroundings of nearest instances'))
    return parser.parse_args()


def _add_build(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        '--out', required=True, help='bank file to write (safetensors)')
    command.add_argument(
        '--split', default='train', choices=('train', 'val', 'test'),
        help='split whose images are used (default: %(default)s)')
    command.add_argument(
        '--predicted', action='store_true',
        help='use predicted instances and classes, not the annotation')
    command.add_argument(
        '--min-area', type=int, default=64,
        help='smallest area of an instance in pixels (default: %(default)s)')
    command.add_argument(
        '--rho', type=float, default=1.,
        help='radius of the ring around an instance, divided by the square '
        'root of its area (default: %(default)s)')
    command.add_argument(
        '--feature', default='logits', choices=('logits', 'classifier'),
        help='baseline feature: the logits of the semantic branch, or the '
        'input of its classifier (default: %(default)s)')
    command.add_argument(
        '--restart', action='store_true',
        help='discard the parts of an interrupted build')


def _add_query(command: argparse.ArgumentParser) -> None:
    command.add_argument('bank', help='path of the bank')
    command.add_argument(
        'image', nargs='*',
        help='paths of images, whose predicted instances are the queries')
    command.add_argument(
        '--image-id', type=int, help='in place of images: index of an image '
        'of the bank, whose instances are the queries')
    command.add_argument(
        '--bank-row', type=int, nargs='+',
        help='in place of images: rows of the bank that are the queries')
    command.add_argument(
        '--out', default='retrieved',
        help='folder to write to (default: %(default)s)')
    command.add_argument(
        '--num-neighbors', type=int, default=6,
        help='number of neighbours that are shown for each instance '
        '(default: %(default)s)')
    command.add_argument(
        '--max-instances', type=int, default=24,
        help='number of instances of an image that are shown, the largest '
        'first (default: %(default)s)')
    command.add_argument(
        '--any-class', action='store_true',
        help='search instances of other classes too')


def _add_score(command: argparse.ArgumentParser) -> None:
    command.add_argument('bank', help='path of the bank')
    command.add_argument(
        '--other', help='bank of the same instances that was built with a '
        'network trained without a metric loss; its feature is the baseline')
    command.add_argument(
        '--num-neighbors', type=int, default=5,
        help='number of neighbours that are compared (default: %(default)s)')
    command.add_argument(
        '--seed', type=int, default=0, help='seed of the random instances')
    command.add_argument('--out-json', help='JSON file for the scores')


def build(args: argparse.Namespace) -> None:
    from mmpixsort.apis.instance_bank import build_instance_bank
    stored = build_instance_bank(
        _config(args), args.checkpoint, args.out, split=args.split,
        annotated=not args.predicted, min_area=args.min_area, rho=args.rho,
        feature=args.feature, restart=args.restart)
    counts = stored.rows.classes.bincount(
        minlength=len(stored.meta['classes'])).tolist()
    print(f'{len(stored)} instances of {len(stored.meta["images"])} images:',
          ', '.join(f'{count} {name}' for name, count in zip(
              stored.meta['classes'], counts) if count))
    print(f'written: {args.out}')


def query(args: argparse.Namespace) -> None:
    from mmpixsort.apis.instance_query import retrieve_instances
    from mmpixsort.utils.files import result_names
    result_names(args.image)  # raises before the first file is written
    for image in args.image or [None]:
        files = retrieve_instances(
            _config(args), args.checkpoint, args.bank, args.out, image=image,
            image_id=args.image_id, bank_rows=args.bank_row,
            num_neighbors=args.num_neighbors,
            max_instances=args.max_instances, any_class=args.any_class)
        print(f'{len(files.rows)} instances: {files.page}, {files.sheet}')


def score(args: argparse.Namespace) -> None:
    from mmpixsort.apis.context_report import report_context
    from mmpixsort.retrieval.instances import read_instances
    from mmpixsort.utils.files import write_whole
    report = report_context(
        read_instances(args.bank), num_neighbors=args.num_neighbors,
        other=args.other and read_instances(args.other), seed=args.seed)
    print(report.table())
    if args.out_json:
        write_whole(Path(args.out_json),
                    json.dumps(report.to_json(), indent=2) + '\n')


def _config(args: argparse.Namespace):
    from mmpixsort.utils.configs import read_config
    cfg = read_config(args.config)
    cfg.merge_from_dict(args.cfg_options)
    return cfg


def main() -> None:
    args = parse_args()
    quiet_hosts()
    with errors_as_text():
        dict(build=build, query=query, score=score)[args.command](args)


if __name__ == '__main__':
    main()
