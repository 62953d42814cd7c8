"""Measure the speed of a segmentor, and what its metric heads take of it.

The tool measures images a second in prediction and training, and the share of
the metric heads in a training step, on random images and with random weights:
neither data nor a checkpoint is needed, and loading of data is not measured.
It prints the median, the minimum and the maximum of the repetitions. If the
config predicts by retrieval, the prediction that is measured ends with the
embedding. With classifier='none' the host has no loss of its own, and the
share of the metric heads includes the backward pass through the backbone.

Example:
    python tools/analysis_tools/benchmark.py CONFIG --shape 512 1024
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
        '--batch-size', type=int, help='images of a training step (default: '
        'that of the config)')
    parser.add_argument(
        '--repeats', type=int, default=10,
        help='measured calls of each kind (default: %(default)s)')
    parser.add_argument(
        '--device', help='cpu, cuda or cuda:N (default: a GPU if there is '
        'one)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.analysis.random_batch import read_segmentor
    from mmpixsort.apis.analysis.speed import describe_speed, measure_speed
    with errors_as_text():
        cfg = read_segmentor(args.config, args.cfg_options)
        speed = measure_speed(
            cfg, size=args.shape, num_images=args.batch_size,
            repeats=args.repeats, device=args.device)
    print(describe_speed(speed))


if __name__ == '__main__':
    main()
