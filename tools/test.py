"""Test a segmentor or detector.

Example:
    python tools/test.py CONFIG work_dirs/try/iter_100.pth --show-dir shown
"""
import argparse

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) and checkpoints of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')

from mmpixsort.utils.cli import (add_run_arguments, build_runner,  # noqa: E402
                                 check_checkpoint, enable_tta, load_config)
from mmpixsort.utils.data_folders import check_data_folders  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        'checkpoint', help='path or URL of the weights; "none" uses the '
        'weights that the config names')
    parser.add_argument(
        '--out', help='where predictions are saved: a folder (segmentors), or '
        'a file ending in .pkl (detectors)')
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--show-dir', help='folder in which predictions are drawn')
    parser.add_argument(
        '--wait-time', type=float, default=2,
        help='seconds for which each picture is shown (default: %(default)s)')
    parser.add_argument(
        '--tta', action='store_true',
        help='use test-time augmentation; the config must have tta_model and '
        'tta_pipeline')
    add_run_arguments(parser)
    return parser.parse_args()


def enable_pictures(cfg, args: argparse.Namespace) -> None:
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError('--show and --show-dir expect a hook '
                         '`default_hooks.visualization`, which the config '
                         'does not have')
    hook['draw'] = True
    hook['interval'] = 1  # by default the host draws every 50th picture
    if args.show:
        hook['show'] = True
        hook['wait_time'] = args.wait_time
    if args.show_dir:
        # mmdet's hook saves pictures itself, mmseg's uses the visualizer
        if cfg.get('default_scope') == 'mmdet':
            hook['test_out_dir'] = args.show_dir
        else:
            cfg.visualizer['save_dir'] = args.show_dir


def save_predictions(cfg, out: str) -> None:
    if cfg.get('default_scope') == 'mmdet':
        dump = dict(type='DumpDetResults', out_file_path=out)
        evaluators = cfg.test_evaluator
        if not isinstance(evaluators, (list, tuple)):
            evaluators = [evaluators]
        cfg.test_evaluator = [*evaluators, dump]
    else:
        first = cfg.test_evaluator
        first = first[0] if isinstance(first, (list, tuple)) else first
        first['output_dir'] = out
        first['keep_results'] = True


def main() -> None:
    args = parse_args()
    quiet_hosts()
    with errors_as_text():
        cfg = load_config(args)
        cfg.load_from = check_checkpoint(
            None if args.checkpoint == 'none' else args.checkpoint)
        check_data_folders(cfg, 'test')
        if args.show or args.show_dir:
            enable_pictures(cfg, args)
        if args.tta:
            enable_tta(cfg)
        if args.out is not None:
            save_predictions(cfg, args.out)
    # errors from here on are shown with their traceback
    build_runner(cfg).test()


if __name__ == '__main__':
    main()
