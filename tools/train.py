"""Train a segmentor or detector.

Example:
    python tools/train.py CONFIG --cfg-options train_cfg.max_iters=100
    python tools/train.py CONFIG --resume
"""
import argparse

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) and checkpoints of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')

from mmpixsort.utils.cli import (add_run_arguments, build_runner,  # noqa: E402
                                 check_checkpoint, load_config)
from mmpixsort.utils.data_folders import check_data_folders  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--resume', action='store_true',
        help='continue from the newest checkpoint of the work directory, or '
        'from `load_from` if --cfg-options sets it')
    parser.add_argument(
        '--amp', action='store_true',
        help='use automatic mixed precision (needs a GPU)')
    parser.add_argument(
        '--auto-scale-lr', action='store_true',
        help='scale the learning rate to the real batch size; the config must '
        'set auto_scale_lr.base_batch_size')
    add_run_arguments(parser)
    return parser.parse_args()


def enable_amp(cfg) -> None:
    """Replace the optimizer wrapper with one for mixed precision."""
    import torch
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind == 'AmpOptimWrapper':
        return
    if kind != 'OptimWrapper':
        raise ValueError('--amp expects optim_wrapper.type=`OptimWrapper`, '
                         f'got `{kind}`. Remedy: set the precision in the '
                         'config')
    if not torch.cuda.is_available():
        raise ValueError('--amp needs a GPU, found none. Remedy: leave out '
                         '--amp')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.loss_scale = 'dynamic'


def enable_lr_scaling(cfg) -> None:
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ValueError('--auto-scale-lr expects '
                         '`auto_scale_lr=dict(base_batch_size=...)` in the '
                         'config, found none. Remedy: add it, or leave the '
                         'option out')
    cfg.auto_scale_lr.enable = True


def main() -> None:
    args = parse_args()
    quiet_hosts()
    with errors_as_text():
        cfg = load_config(args)
        if args.amp:
            enable_amp(cfg)
        if args.auto_scale_lr:
            enable_lr_scaling(cfg)
        cfg.resume = args.resume
        check_checkpoint(cfg.get('load_from'))
        check_data_folders(cfg, 'train', 'val')
    # errors from here on are shown with their traceback
    build_runner(cfg).train()


if __name__ == '__main__':
    main()
