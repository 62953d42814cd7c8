"""Convert a checkpoint of the released code of pixel contrast.

The tool reads files of tfzhou/ContrastiveSeg (hrnet_w48_contrast,
hrnet_w48_ocr_contrast, hrnet_w48_mem, deeplab_v3_contrast), compares names
and shapes with the model of a config, and writes a checkpoint for it. The
configs `*-released_*` of configs/pixel_contrast have the layers of that code.

Example:
    python tools/model_converters/convert_contrastiveseg.py \\
        hrnet_w48_contrast_40k.pth checkpoints/hrnet_w48_contrast.pth \\
        --config configs/pixel_contrast/pixel-contrast_fcn-hr48-released_*.py
"""
import argparse
from functools import partial

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmseg')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint to read')
    parser.add_argument('target', help='.pth file to write')
    parser.add_argument(
        '--config', required=True, help='config of the model that shall load '
        'the result')
    parser.add_argument(
        '--queues', choices=('drop', 'before_pointer', 'all'), default='drop',
        help='rows of the queues of hrnet_w48_mem that enter the bank: none; '
        'those before the write pointer, which were certainly written; all '
        'but those of class 0 (default: %(default)s, because rows of their '
        'pixel queue may be of any class)')
    parser.add_argument(
        '--verbose', action='store_true', help='list every tensor')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.convert import (convert_checkpoint,
                                        convert_contrastiveseg,
                                        describe_conversion)
    with errors_as_text():
        done = convert_checkpoint(
            args.source, args.target, args.config,
            partial(convert_contrastiveseg, queues=args.queues),
            cfg_options=args.cfg_options)
    print(describe_conversion(done, verbose=args.verbose))
    print(f'written: {args.target}')


if __name__ == '__main__':
    main()
