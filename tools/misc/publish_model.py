"""Make a checkpoint small and fit for the plain host model.

Optimizer, message hub, and everything under `metric_head.` are dropped; the
result loads with strict=True in the host without mmpixsort.

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
        'out', help='a folder, or the path without date, hash and ending; in '
        'a folder the file is named after the work dir')
    parser.add_argument(
        '--date', type=lambda text: datetime.strptime(text, '%Y%m%d').date(),
        help='date in the name, as yyyymmdd (default: today)')
    parser.add_argument(
        '--safetensors', action='store_true',
        help='write .safetensors instead of .pth')
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
