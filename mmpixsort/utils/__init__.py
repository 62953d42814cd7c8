"""Helpers of the package; importing them here needs no mm package."""
from .cpu_distributed import prepare_cpu_run
from .publish import publish_checkpoint
from .register import register_all_modules

__all__ = ['prepare_cpu_run', 'publish_checkpoint', 'register_all_modules']
