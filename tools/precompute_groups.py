"""Group the pixels of all images of a data set, to save time in training.

For each image NAME.jpg the tool writes OUT/NAME.png with the region ids on the
grid of the grouper. OUT/groups.json contains the settings and OUT/images.json
the images. An interrupted run continues. If OUT contains groups of other
settings, or of other images with the same names, there is an error.

Example:
    python tools/precompute_groups.py CONFIG --out data/coco/groups
    python tools/precompute_groups.py CONFIG --out data/coco/groups_val \\
        --split val --cfg-options model.decode_head.grouper.min_area=4
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
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--out', required=True, help='folder to write to')
    parser.add_argument(
        '--split', default='train', choices=('train', 'val', 'test'),
        help='split whose images are grouped (default: %(default)s)')
    parser.add_argument(
        '--key', help='place of the grouper in the config, e.g. '
        'model.decode_head.grouper (default: the only grouper)')
    parser.add_argument(
        '--max-images', type=int,
        help='group only this number of images, from the start of the split')
    parser.add_argument(
        '--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    start = time.time()
    from mmpixsort.apis.precompute_groups import precompute_groups
    from mmpixsort.utils.configs import read_config
    with errors_as_text():
        cfg = read_config(args.config)
        if args.cfg_options is not None:
            cfg.merge_from_dict(args.cfg_options)
        run = precompute_groups(
            cfg, args.out, split=args.split, key=args.key,
            max_images=args.max_images, device=args.device)
    print(f'written: {run.written} images to {args.out}, {run.skipped} '
          f'existed, settings {run.hash}, {time.time() - start:.0f} seconds')


if __name__ == '__main__':
    main()
