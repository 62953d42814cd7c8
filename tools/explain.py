"""Show the annotated segments on which a prediction by retrieval is based.

The tool writes NAME.html, a page that needs no other files, and NAME.png. They
show each segment of the image beside its nearest annotated segments, with
outlines, similarities and source images.

Example:
    python tools/explain.py CONFIG CHECKPOINT x.bank image.jpg --out shown
"""
import argparse

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) and checkpoints of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmseg')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the weights')
    parser.add_argument('bank', help='path of the bank of prototypes')
    parser.add_argument('image', nargs='+', help='paths of images')
    parser.add_argument(
        '--out', default='explanations',
        help='folder to write to (default: %(default)s)')
    parser.add_argument(
        '--num-neighbors', type=int, default=6,
        help='number of neighbours that are shown for each segment '
        '(default: %(default)s)')
    parser.add_argument(
        '--max-segments', type=int, default=24,
        help='number of segments that are shown, the largest first '
        '(default: %(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.explain import explain
    from mmpixsort.utils.configs import read_config
    with errors_as_text():
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options)
        for image in args.image:
            files = explain(
                cfg, args.checkpoint, args.bank, image, args.out,
                num_neighbors=args.num_neighbors,
                max_segments=args.max_segments)
            print(f'{len(files.rows)} segments: {files.page}, {files.sheet}')


if __name__ == '__main__':
    main()
