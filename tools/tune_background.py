"""Choose the background threshold of a text grouping model.

The tool computes the mIoU of several thresholds on the validation or training
split, which must not be the split whose scores are reported. It prints the
scores, and the option that sets the best threshold.

Example:
    python tools/tune_background.py CONFIG weights.pth --from 0.1 --to 0.9
"""
import argparse
import json

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
    parser.add_argument('config', help='path of a config of text grouping')
    parser.add_argument(
        'checkpoint',
        help='path of the weights; "none" uses the weights that the config '
        'names')
    parser.add_argument(
        '--from', type=float, default=0., dest='first',
        help='lowest threshold (default: %(default)s)')
    parser.add_argument(
        '--to', type=float, default=.95, dest='last',
        help='highest threshold (default: %(default)s)')
    parser.add_argument(
        '--num', type=int, default=20,
        help='number of thresholds (default: %(default)s)')
    parser.add_argument(
        '--split', choices=('val', 'train'), default='val',
        help='split whose images are used (default: %(default)s)')
    parser.add_argument(
        '--max-images', type=int,
        help='use only this number of images, from the start of the split')
    parser.add_argument('--out', help='JSON file to write the scores to')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.tune_background import tune_background
    from mmpixsort.utils.configs import read_config
    from mmpixsort.utils.files import write_whole
    with errors_as_text():
        if args.num < 2:
            raise ValueError(f'`--num` must be at least 2, got {args.num}')
        step = (args.last - args.first) / (args.num - 1)
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options)
        curve = tune_background(
            cfg, None if args.checkpoint == 'none' else args.checkpoint,
            thresholds=[round(args.first + i * step, 6)
                        for i in range(args.num)],
            split=args.split, max_images=args.max_images)
    for threshold, score in zip(curve.thresholds, curve.mean_ious):
        mark = '  best' if threshold == curve.best else ''
        print(f'{threshold:8.3f}  mIoU {score:6.2f}{mark}')
    print(f'use --cfg-options model.decode_head.threshold={curve.best}')
    if args.out:
        write_whole(args.out, json.dumps(curve._asdict(), indent=1))


if __name__ == '__main__':
    main()
