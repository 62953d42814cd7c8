"""Samplers of anchors and miners of keys."""
from .hard_anchor_sampler import HardAnchorSampler
from .key_miner import KeyMiner

__all__ = ['HardAnchorSampler', 'KeyMiner']
