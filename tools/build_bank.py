"""Build a bank of prototypes, for prediction by retrieval.

Every image of the training set is embedded and segmented. Each segment becomes
a row of the bank, with its embedding, class, location and purity. An
interrupted build continues when the command is repeated.

Example:
    python tools/build_bank.py CONFIG work_dirs/try/iter_400.pth --out x.bank
    python tools/test.py CONFIG work_dirs/try/iter_400.pth \\
        --cfg-options model.test_cfg.retrieval.bank=x.bank
    tools/dist_build_bank.sh CONFIG CHECKPOINT 8 --out x.bank
"""
import argparse
import time

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) and checkpoints of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmseg')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    from mmpixsort.utils.cli import add_run_arguments
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the weights')
    parser.add_argument(
        '--out', required=True,
        help='bank file to write: .npz, or another ending for safetensors')
    parser.add_argument(
        '--split', default='train', choices=('train', 'val', 'test'),
        help='split whose images are used (default: %(default)s)')
    parser.add_argument(
        '--dtype', default='float16', choices=('float16', 'float32'),
        help='data type of the features (default: %(default)s)')
    parser.add_argument(
        '--pixels', default='majority', choices=('majority', 'all'),
        help='pixels of a segment whose mean is its prototype: those of its '
        'majority class, or all (default: %(default)s)')
    parser.add_argument(
        '--void', default='drop_pixels',
        choices=('drop_pixels', 'drop_segments'),
        help='leave out pixels without a label, or segments with a majority '
        'of such pixels (default: %(default)s)')
    parser.add_argument(
        '--min-purity', type=float, default=0.,
        help='leave out segments in which the share of the majority class is '
        'lower, e.g. 0.8')
    parser.add_argument(
        '--scales', type=float, nargs='+', default=[1.],
        help='factors by which images are resized, e.g. 0.5 1 (default: 1)')
    parser.add_argument(
        '--flip', action='store_true', help='add mirrored images too')
    parser.add_argument(
        '--max-images', type=int,
        help='use only this number of images, evenly spaced')
    parser.add_argument(
        '--restart', action='store_true',
        help='discard the parts of an interrupted build')
    parser.add_argument(
        '--recall', nargs='*', metavar='KIND', default=[],
        help='print the recall of these kinds of index, compared with exact '
        'search: ivf, sq (needs the extra faiss)')
    add_run_arguments(parser)
    return parser.parse_args()


def print_recall(bank, kinds) -> None:
    from mmpixsort.retrieval import build_index, recall_at_k
    features = bank.features.float()
    for kind in kinds:
        recall = recall_at_k(
            build_index(features, kind=kind), features, num_neighbors=min(
                15, len(features)))
        print(f'recall of {kind} at 15: {recall:.4f}')


def main() -> None:
    args = parse_args()
    quiet_hosts()
    start = time.time()
    from mmengine.dist import init_dist, is_distributed, is_main_process

    from mmpixsort.utils.cli import load_config
    with errors_as_text():
        cfg = load_config(args)
    if args.launcher != 'none' and not is_distributed():
        # without a GPU, mmpixsort.compat makes it use gloo
        init_dist(args.launcher)
    from mmpixsort.apis.bank import build_bank
    from mmpixsort.retrieval import info
    from mmpixsort.retrieval.build import RowRules
    with errors_as_text():
        bank = build_bank(
            cfg, args.checkpoint, args.out, split=args.split,
            rules=RowRules(args.pixels, args.void, args.min_purity,
                           tuple(args.scales), args.flip),
            dtype=args.dtype, max_images=args.max_images,
            restart=args.restart)
    if is_main_process():
        print(info(bank))
        print_recall(bank, args.recall)
        print(f'written: {args.out}, {time.time() - start:.0f} seconds')


if __name__ == '__main__':
    main()
