"""Run a function in several gloo processes and collect what it returns."""
import os
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_ranks(function, num_ranks=2, **arguments):
    """Return what `function(rank, **arguments)` returned on each rank."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(
            _worker, (num_ranks, folder, function, arguments), num_ranks)
        return [
            torch.load(Path(folder) / f'{rank}.pt', weights_only=False)
            for rank in range(num_ranks)
        ]


def _worker(rank, num_ranks, folder, function, arguments):
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank,
        world_size=num_ranks)
    result = function(rank, **arguments)
    torch.save(result, Path(folder) / f'{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()
