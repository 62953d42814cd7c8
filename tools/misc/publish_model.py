"""Reduce a checkpoint to the weights of the plain host model.

The optimizer, the message hub and everything under `metric_head.` are removed.
The result loads with strict=True in the host, without mmpixsort.

Example:
    python tools/misc/publish_model.py work_dirs/try/iter_100.pth published/
"""
import argparse
from datetime import datetime
from pathlib import Path

from mmpixsort.utils import publish_checkpoint
from mmpixsort.utils.command import errors_as_text


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of a training run')
    parser.add_argument(
        'out', help='folder, in which the file is named after the work '
        'directory; or path without date, hash and ending')
    parser.add_argument(
        '--date', type=lambda text: datetime.strptime(text, '%Y%m%d').date(),
        help='date in the file name, as yyyymmdd (default: today)')
    parser.add_argument(
        '--safetensors', action='store_true',
        help='write .safetensors in place of .pth')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with errors_as_text():
        if args.out.endswith('/'):
            Path(args.out).mkdir(parents=True, exist_ok=True)
        path = publish_checkpoint(
            args.checkpoint, args.out, day=args.date,
            safetensors=args.safetensors)
    print(f'{path} ({path.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    main()
