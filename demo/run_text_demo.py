"""Learn words for regions from captions of generated shapes, on a CPU."""
import argparse
import os
import time
from pathlib import Path

CONFIG = (Path(__file__).resolve().parents[1] / 'configs' / 'text_grouping' /
          'textgroup_tiny-rgbxy-km16_1xb32-3k_shapes-64x64.py')

EXAMPLES = """examples:
  one seed, and contrast of whole images for comparison:
    python demo/run_text_demo.py
  three seeds:
    python demo/run_text_demo.py --seeds 0 1 2
the same model without this script:
    python tools/train.py %s
""" % CONFIG.relative_to(CONFIG.parents[2])


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--out', type=Path, default=Path('demo_output/text'),
        help='folder for all results (default: %(default)s)')
    parser.add_argument(
        '--iters', type=int,
        help='training iterations; default: those of the config')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0],
        help='of the trainings (default: 0)')
    parser.add_argument(
        '--no-image-level', action='store_true',
        help='leave the contrast of whole images out')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    # threads that wait without spinning; read once, when torch is imported
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    start = time.time()
    from mmpixsort.utils.command import errors_as_text, quiet_hosts
    quiet_hosts()
    from mmpixsort.compat import require
    with errors_as_text():
        require('mmseg')
        from mmpixsort.apis.demo_text import run_text_demo
        run_text_demo(
            CONFIG, args.out, seeds=args.seeds, iters=args.iters,
            image_level=not args.no_image_level)
    print((args.out / 'scores.txt').read_text())
    print(f'{time.time() - start:.0f} seconds; everything is in {args.out}, '
          'pictures below vis_data of each test')


if __name__ == '__main__':
    main()
