"""Hooks of mmengine."""
from .memory_bank_hook import MemoryBankHook
from .prototype_bank_hook import PrototypeBankHook

__all__ = ['MemoryBankHook', 'PrototypeBankHook']
