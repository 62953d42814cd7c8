"""Count parameters and multiply-adds of a segmentor and its metric heads.

The tool counts convolutions and matrix products. The host is counted as in a
test, without auxiliary heads. For the metric heads, which run in training
only, it gives the projection, the loss against keys and bank, and their share
in a training step. No data and no weights are needed. For detectors, use the
script of mmdet (see docs/tools.md).

Example:
    python tools/analysis_tools/get_flops.py \\
        configs/pixel_contrast/pixel-contrast_fcn-hr48_4xb2-40k_*.py \\
        --shape 512 1024
"""
import argparse

# First of all: it makes prefixes and checkpoints of mmengine work, or says
# what is wrong with the installation.
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
        '--shape', type=int, nargs=2, default=(512, 1024),
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the images (default: 512 1024)')
    parser.add_argument(
        '--batch-size', type=int, help='images of a training step on a '
        'device (default: that of the config)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.analysis.flops import count_flops, describe_cost
    from mmpixsort.apis.analysis.random_batch import read_segmentor
    with errors_as_text():
        cfg = read_segmentor(args.config, args.cfg_options)
        cost = count_flops(cfg, size=args.shape, num_images=args.batch_size)
    print(describe_cost(cost))


if __name__ == '__main__':
    main()
