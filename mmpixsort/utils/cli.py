"""Functions that tools/train.py and tools/test.py share."""
import argparse
import os
import re
from pathlib import Path
from typing import Optional

from mmengine.config import Config, DictAction

from .configs import read_config
from .cpu_distributed import prepare_cpu_run


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that the train and test tools of the hosts have."""
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints (default: '
        'work_dirs/<name of the config>)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='override settings of the config, e.g. '
        'train_cfg.max_iters=100 model.backbone.depth=18; a list is written '
        'key="[a,b]", without white space')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none', help='job launcher; dist_*.sh and slurm_*.sh set it')
    # `mim train` uses torch.distributed.launch, which still passes it
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0,
        help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Return the config of the command line, prepared for a run.

    Its options are applied. Without a GPU, the config and this process are
    prepared for CPU training; see :func:`prepare_cpu_run`.

    Args:
        args: Arguments of :func:`add_run_arguments`, and `config`.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If the config cannot be read.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    # the option overrides the config, which overrides the default
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    prepare_cpu_run(cfg, args.launcher)
    return cfg


def check_checkpoint(path: Optional[str]) -> Optional[str]:
    """Return the path or address of a checkpoint unless it cannot exist.

    Raises:
        FileNotFoundError: If it is a path of a file that does not exist.
    """
    # only the loader can check addresses like s3:bucket, torchvision://name
    if path and not re.match(r'\w\w+:', path) and not Path(path).is_file():
        raise FileNotFoundError(
            f'`checkpoint` must be a file or an address, got {path!r}, '
            'which does not exist')
    return path


def build_runner(cfg: Config):
    """Build the Runner of a config, of type `runner_type` if it is given."""
    if 'runner_type' in cfg:
        from mmengine.registry import RUNNERS
        return RUNNERS.build(cfg)
    from mmengine.runner import Runner
    return Runner.from_cfg(cfg)


def enable_tta(cfg: Config) -> None:
    """Switch a config to test-time augmentation, in place.

    Raises:
        ValueError: If the config lacks `tta_model` or `tta_pipeline`.
    """
    missing = [k for k in ('tta_model', 'tta_pipeline') if k not in cfg]
    if missing:
        raise ValueError('test-time augmentation needs `tta_model` and '
                         '`tta_pipeline` in the config, missing: '
                         f'{", ".join(missing)}')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model
