"""Hooks for the Runner of mmengine."""
from mmpixsort.utils import engine  # noqa: F401  requires mmengine

from .channels_last_hook import ChannelsLastHook
from .linkage_threshold_hook import LinkageThresholdHook
from .memory_bank_hook import MemoryBankHook
from .prototype_bank_hook import PrototypeBankHook

__all__ = [
    'ChannelsLastHook', 'LinkageThresholdHook', 'MemoryBankHook',
    'PrototypeBankHook'
]
