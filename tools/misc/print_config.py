"""Print a config with everything that it inherits.

Example:
    python tools/misc/print_config.py CONFIG --cfg-options model.type=X
"""
import argparse

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')

from mmengine.config import DictAction  # noqa: E402

from mmpixsort.utils.configs import read_config  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--out', help='also write the whole config to this .py file')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='settings that override the config')
    args = parser.parse_args()
    quiet_hosts()
    with errors_as_text():
        cfg = read_config(args.config)
        if args.cfg_options is not None:
            cfg.merge_from_dict(args.cfg_options)
        print(cfg.pretty_text)
        if args.out is not None:
            cfg.dump(args.out)


if __name__ == '__main__':
    main()
