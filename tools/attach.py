"""Attach a method of metric learning to any MMSegmentation config.

The tool builds the model of the config and runs it once on random images,
without weights and data, to find the feature map that the metric head takes
and its number of channels. It writes a short config that inherits from the
given one.

Examples:
    python tools/attach.py \\
        mmseg::ocrnet/ocrnet_hr48_4xb2-40k_cityscapes-512x1024.py \\
        --method pixel-contrast --set bank.capacity=5000
    python tools/attach.py my_config.py --out configs/my_contrast.py \\
        --set source=2 loss.temperature=0.07 warmup_iters=1000
"""
import argparse
from pathlib import Path

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmseg')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', help='path of the base config, or mmseg::folder/name.py')
    parser.add_argument(
        '--method', default='pixel-contrast',
        help='method to attach (default: %(default)s)')
    parser.add_argument(
        '--out', type=Path,
        help='config file to write (default: METHOD_NAME.py in this folder)')
    parser.add_argument(
        '--set', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE',
        help='arguments of the metric head and its parts, e.g. '
        'bank.capacity=5000 loss.temperature=0.07 source=decoder')
    parser.add_argument(
        '--force', action='store_true', help='overwrite an existing file')
    return parser.parse_args()


def nested(options: dict) -> dict:
    """Turn dotted keys such as `a.b` into nested dicts."""
    from mmengine.config import Config
    config = Config()
    config.merge_from_dict(options)
    return config.to_dict()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.attach.config_file import (attach_file, default_out,
                                                   summary)
    out = args.out or default_out(args.config, args.method)
    with errors_as_text():
        found = attach_file(
            args.config, args.method, out=out, force=args.force,
            **nested(args.set))
    print(summary(found, out))


if __name__ == '__main__':
    main()
