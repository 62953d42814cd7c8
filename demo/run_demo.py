"""Train, test and show a small network with pixel contrast on a CPU."""
import argparse
import os
import sys
import time
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'pixel_contrast'
SCENES = CONFIGS / 'pixel-contrast_fcn-mnv2_1xb4-600it_street-scenes.py'
CAMVID = CONFIGS / 'pixel-contrast_fcn-mnv2_1xb8-1500it_camvid.py'

EXAMPLES = """examples:
  generated street scenes, no data needed:
    python demo/run_demo.py
  the plain model without pixel contrast, for comparison:
    python demo/run_demo.py --method none --out demo_plain
  CamVid (img_dir/{train,val,test}, ann_dir/{train,val,test}):
    python demo/run_demo.py --data path/to/camvid --weights backbone.pth
the same model without this script:
    python tools/train.py %s
""" % SCENES.relative_to(CONFIGS.parents[1])


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--data', type=Path,
        help='folder of CamVid; default: generated street scenes')
    parser.add_argument(
        '--weights', type=Path,
        help='checkpoint of a MobileNetV2 backbone in the names of mmseg; '
        'default: from scratch')
    parser.add_argument(
        '--out', type=Path, default=Path('demo_output'),
        help='folder for all results (default: %(default)s)')
    parser.add_argument(
        '--iters', type=int,
        help='training iterations; default: those of the config')
    parser.add_argument(
        '--seed', type=int, default=0,
        help='seed of the training (default: %(default)s)')
    parser.add_argument(
        '--method', default='pixel-contrast',
        choices=('pixel-contrast', 'none'),
        help='method, or none for the plain network (default: %(default)s)')
    return parser.parse_args(argv)


def main(argv=None, cfg_options=None):
    args = parse_args(argv)
    for name in ('data', 'weights'):  # before the slow imports
        path = getattr(args, name)
        if path is not None and not path.exists():
            sys.exit(f'--{name}: {path} not found')
    # threads that wait without spinning: on busy cores a step is more than
    # twice as fast; read once, when torch is imported
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    start = time.time()
    from mmpixsort.utils.command import errors_as_text, quiet_hosts
    quiet_hosts()
    from mmpixsort.apis.demo import run_demo
    with errors_as_text():
        run_demo(
            SCENES if args.data is None else CAMVID, args.out,
            data=args.data, weights=args.weights, iters=args.iters,
            seed=args.seed, method=args.method, cfg_options=cfg_options)
    print()
    print((args.out / 'scores.txt').read_text())
    print(f'{time.time() - start:.0f} seconds. Scores and pictures are in '
          f'{args.out.resolve()}')
    for name in ('scores.txt', 'scores.json', 'pictures'):
        print(f'  {args.out / name}')


if __name__ == '__main__':
    main()
