"""What tools/train.py and tools/test.py share."""
import argparse
import os
import re
from pathlib import Path
from typing import Optional

from mmengine.config import Config, DictAction

from .configs import read_config
from .cpu_distributed import prepare_cpu_run


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the host's own tools."""
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
    # torch.distributed.launch, which `mim train` uses, still passes it.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0,
        help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config, apply the options, and prepare a run without GPU.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If it cannot be read.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    # In order: the option, the config, the name of the config.
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    prepare_cpu_run(cfg, args.launcher)
    return cfg


def check_checkpoint(path: Optional[str]) -> Optional[str]:
    """Return the path or address of weights, if it may exist.

    Raises:
        FileNotFoundError: When it is a path and there is no such file.
    """
    # of an address, as s3:bucket or torchvision://name, the loader knows
    if path and not re.match(r'\w\w+:', path) and not Path(path).is_file():
        raise FileNotFoundError(
            f'`checkpoint` must be a file or an address, got {path!r}, '
            'which does not exist')
    return path


def build_runner(cfg: Config):
    """Build the Runner, or the kind that the config names."""
    if 'runner_type' in cfg:
        from mmengine.registry import RUNNERS
        return RUNNERS.build(cfg)
    from mmengine.runner import Runner
    return Runner.from_cfg(cfg)


def enable_tta(cfg: Config) -> None:
    """Turn a config into that of test-time augmentation, in place.

    Raises:
        ValueError: When the config does not say how.
    """
    missing = [k for k in ('tta_model', 'tta_pipeline') if k not in cfg]
    if missing:
        raise ValueError('test-time augmentation expects `tta_model` and '
                         '`tta_pipeline` in the config, missing: '
                         f'{", ".join(missing)}')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model
