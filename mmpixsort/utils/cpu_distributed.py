"""Train in several processes on a machine without a GPU.

mmengine sets a CUDA device before it starts the process group, uses NCCL, and
passes a device id to DDP; each of these fails without CUDA. The Runner keeps
a process group that already exists, so the group is started here first.
SyncBN has no CPU implementation; the wrapper in `cpu_ddp.py` replaces it by
BN, whose statistics differ between processes.
"""
import datetime
import os
import subprocess
from typing import Any, Optional

DEFAULT_PORT = '29500'
# for each launcher: the variables that torch reads, and the launcher's names
VARIABLES = {
    'slurm': {
        'RANK': 'SLURM_PROCID',
        'WORLD_SIZE': 'SLURM_NTASKS',
        'LOCAL_RANK': 'SLURM_LOCALID',
    },
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
    },
}


def prepare_cpu_run(cfg: Any, launcher: str) -> bool:
    """Prepare a distributed run with the gloo backend if there is no GPU.

    The config is adapted, and the process group is started.

    Args:
        cfg: Config of mmengine, changed in place.
        launcher: Launcher of the processes: 'none', 'pytorch', 'slurm' or
            'mpi'.

    Returns:
        Whether anything was done, which is False with launcher 'none' or
        with a GPU.

    Raises:
        ValueError: If the launcher did not set its environment variables.
    """
    import torch
    if launcher == 'none' or torch.cuda.is_available():
        return False
    from .cpu_ddp import CPUDistributedDataParallel
    timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    wrapper = dict(
        type=CPUDistributedDataParallel.__name__,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.merge_from_dict({
        'env_cfg.dist_cfg.backend': 'gloo',
        'model_wrapper_cfg': wrapper,
        'sync_bn': None,
    })
    start_gloo(launcher, timeout=timeout)
    if int(os.environ['RANK']) == 0:
        print('No GPU: processes talk through gloo, BN replaces SyncBN.')
    return True


def start_gloo(launcher: str, timeout: Optional[float] = None) -> None:
    """Start a gloo process group unless one exists.

    Args:
        launcher: Launcher that has set the environment variables.
        timeout: Timeout of collective calls in seconds; None means that of
            torch.

    Raises:
        ValueError: If environment variables are missing.
    """
    import torch.distributed as dist
    translate_environment(launcher)
    if not dist.is_initialized():
        more = {} if timeout is None else {
            'timeout': datetime.timedelta(seconds=timeout)}
        dist.init_process_group(backend='gloo', **more)


def translate_environment(launcher: str) -> None:
    """Set the environment variables that torch reads from those of a launcher.

    Raises:
        ValueError: If variables are missing.
    """
    for ours, theirs in VARIABLES.get(launcher, {}).items():
        if theirs in os.environ:
            os.environ[ours] = os.environ[theirs]
    if launcher != 'pytorch':
        os.environ.setdefault('MASTER_PORT', DEFAULT_PORT)
    if launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        nodes = os.environ.get('SLURM_NODELIST', '')
        done = subprocess.run(('scontrol', 'show', 'hostnames', nodes),
                              capture_output=True, text=True, check=True)
        os.environ['MASTER_ADDR'] = done.stdout.split()[0]
    wanted = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    missing = [name for name in wanted if name not in os.environ]
    if missing:
        raise ValueError(
            f'launcher `{launcher}` must set {", ".join(wanted)}, missing: '
            f'{", ".join(missing)}. Remedy: start with tools/dist_train.sh '
            'or torchrun')
