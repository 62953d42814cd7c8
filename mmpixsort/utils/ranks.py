"""Communication between ranks, by mmengine or, without it, by torch."""
from mmpixsort.compat import found

if found('mmengine'):
    from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
else:
    from .torch_ranks import all_gather, all_reduce, get_rank, get_world_size

__all__ = ['all_gather', 'all_reduce', 'get_rank', 'get_world_size']
