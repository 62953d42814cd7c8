"""Show a bank of prototypes, or edit it without training.

Examples:
    python tools/bank.py info x.bank
    python tools/bank.py add x.bank CONFIG CHECKPOINT --image tram.jpg \\
        --mask tram_mask.png --class tram --out y.bank
    python tools/bank.py relabel x.bank --old car --new vehicle --out y.bank
    python tools/bank.py remove x.bank --class fence --out y.bank
    python tools/bank.py remove x.bank --image val/1.jpg --out y.bank
    python tools/bank.py merge x.bank y.bank --out z.bank
    python tools/bank.py cluster x.bank --num-clusters 11 --out y.bank
    python tools/bank.py serve x.bank CONFIG CHECKPOINT --image a.jpg \\
        --out y.bank
"""
import argparse
from pathlib import Path

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument('bank', help='path of the bank')
    writes = argparse.ArgumentParser(add_help=False)
    writes.add_argument('--out', required=True, help='bank file to write')
    commands.add_parser(
        'info', parents=[shared], help='show classes, images and settings')
    command = commands.add_parser(
        'add', parents=[shared, writes],
        help='add the segments under a mask as examples of a class')
    command.add_argument('config', help='path of the config')
    command.add_argument('checkpoint', help='path of the weights')
    command.add_argument(
        '--image', nargs='+', required=True, help='paths of images')
    command.add_argument(
        '--mask', nargs='+', required=True,
        help='one mask file (PNG, TIFF) for each image; its pixels that are '
        'neither black nor transparent belong to the class')
    command.add_argument(
        '--class', dest='name', required=True,
        help='class of the segments, which the bank need not contain')
    command = commands.add_parser(
        'remove', parents=[shared, writes], help='remove segments')
    command.add_argument('--class', dest='name', help='class to remove')
    command.add_argument(
        '--image', help='image whose segments are removed: its path, or the '
        'last parts of it, e.g. val/1.jpg')
    command.add_argument(
        '--rows', type=int, nargs='+', help='rows to remove, e.g. 3 17')
    command = commands.add_parser(
        'relabel', parents=[shared, writes],
        help='give segments another class')
    command.add_argument('--old', help='class whose segments change')
    command.add_argument(
        '--rows', type=int, nargs='+', help='rows that change, e.g. 3 17')
    command.add_argument(
        '--new', required=True,
        help='new class of these segments, which the bank need not contain')
    command = commands.add_parser(
        'merge', parents=[writes],
        help='join banks that were built with the same checkpoint')
    command.add_argument('banks', nargs='+', help='paths of the banks')
    command = commands.add_parser(
        'cluster', parents=[shared, writes],
        help='replace the classes by clusters of the features')
    command.add_argument(
        '--num-clusters', type=int, required=True, help='number of clusters')
    command.add_argument(
        '--seed', type=int, default=0,
        help='seed of the clustering (default: %(default)s)')
    command = commands.add_parser(
        'serve', parents=[shared, writes],
        help='explain images on a page for browsers on this machine, on '
        'which segments of the bank can be relabelled')
    command.add_argument('config', help='path of the config')
    command.add_argument('checkpoint', help='path of the weights')
    command.add_argument(
        '--image', nargs='+', required=True, help='paths of images')
    command.add_argument(
        '--port', type=int, default=0,
        help='port of the server (default: a free one)')
    command.add_argument(
        '--max-segments', type=int, default=100,
        help='number of segments that can be opened on a page, the largest '
        'first (default: %(default)s)')
    return parser.parse_args()


def add_segments(args: argparse.Namespace, bank):
    from mmpixsort.apis.exemplars import add_exemplars
    from mmpixsort.apis.loading import load_model
    from mmpixsort.utils.configs import read_config
    if len(args.image) != len(args.mask):
        raise ValueError(f'--mask must name {len(args.image)} files, one for '
                         f'each image, got {len(args.mask)}')
    cfg = read_config(args.config)
    model = load_model(cfg, args.checkpoint)
    for image, mask in zip(args.image, args.mask):
        bank = add_exemplars(
            cfg, model, bank, image=image, mask=mask, name=args.name)
    return bank


def serve(args: argparse.Namespace, bank):
    """Serve pages until Ctrl-C; return the bank as it is then."""
    from mmpixsort.apis.explain import Explainer
    from mmpixsort.apis.serve_bank import BankEditor, BankServer
    from mmpixsort.utils.files import result_names
    result_names(args.image)  # an error before the model is loaded
    explainer = Explainer(
        args.config, args.checkpoint, bank, max_segments=args.max_segments)
    editor = BankEditor(explainer, args.image, args.out)
    with BankServer(editor, port=args.port) as server:
        print(f'open {server.url}, end with Ctrl-C; every change is written '
              f'to {args.out}', flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return explainer.bank


def run(args: argparse.Namespace):
    from mmpixsort.retrieval import (cluster, images_named, merge, read_bank,
                                     relabel, remove)
    if args.command == 'merge':
        banks = [read_bank(path) for path in args.banks]
        merged = merge(banks)
        shared = sum(map(len, banks)) - len(merged)
        print(f'{shared} segments were in several banks and are kept once')
        return merged
    bank = read_bank(args.bank)
    if args.command == 'add':
        return add_segments(args, bank)
    if args.command == 'remove':
        if args.image is not None:
            for path, count in images_named(bank, args.image).items():
                print(f'removed: {count} segments of {path}')
        return remove(
            bank, rows=args.rows, image=args.image, name=args.name)
    if args.command == 'relabel':
        return relabel(bank, old=args.old, rows=args.rows, new=args.new)
    if args.command == 'cluster':
        return cluster(bank, args.num_clusters, seed=args.seed)
    if args.command == 'serve':
        return serve(args, bank)
    return bank


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.retrieval import info, write_bank
    with errors_as_text():
        bank = run(args)
        if args.command != 'info':
            write_bank(bank, Path(args.out))
    print(info(bank))
    if args.command != 'info':
        print(f'written: {args.out}')


if __name__ == '__main__':
    main()
