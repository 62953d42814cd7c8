"""Show images as a training gets them, with all of their annotation.

The tool writes one PNG for each image, after the pipeline of the config: the
image, labels, instance map, regions and the anchors that the sampler of the
metric head would draw, with captions and nouns below. With --checkpoint,
pixels that the classifier gets wrong are known, and hard anchors are drawn as
squares with a white border.

Examples:
    python tools/analysis_tools/browse_dataset.py CONFIG --out shown
    python tools/analysis_tools/browse_dataset.py CONFIG --out shown \\
        --views image anchors --checkpoint work_dirs/try/iter_100.pth
"""
import argparse

# First of all: it makes prefixes and checkpoints of mmengine work, or says
# what is wrong with the installation.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--out', default='browsed', help='folder of the pictures (default: '
        '%(default)s)')
    parser.add_argument(
        '--split', default='train', choices=('train', 'val', 'test'),
        help='split whose images are shown (default: %(default)s)')
    parser.add_argument(
        '--num-images', type=int, default=16,
        help='maximum number of images (default: %(default)s)')
    parser.add_argument(
        '--start', type=int, default=0,
        help='index of the first image (default: %(default)s)')
    parser.add_argument(
        '--views', nargs='+', metavar='VIEW',
        choices=('image', 'labels', 'instances', 'regions', 'anchors',
                 'nouns'),
        help='what to show: image, labels, instances, regions, anchors, '
        'nouns (default: all that there are)')
    parser.add_argument(
        '--checkpoint', help='weights with which hard anchors are found '
        '(default: none, and no pixel is hard)')
    parser.add_argument(
        '--iteration', type=int, default=0,
        help='iteration of the training whose anchors are drawn (default: '
        '%(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.analysis.browse import browse_dataset
    from mmpixsort.utils.cli import check_checkpoint
    from mmpixsort.utils.configs import read_config
    with errors_as_text():
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options)
        written = browse_dataset(
            cfg, args.out, split=args.split, num_images=args.num_images,
            start=args.start, views=args.views,
            checkpoint=check_checkpoint(args.checkpoint),
            iteration=args.iteration)
    print(f'{len(written)} pictures in {args.out}')


if __name__ == '__main__':
    main()
