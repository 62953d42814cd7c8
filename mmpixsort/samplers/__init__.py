"""Modules that choose anchors and keys for contrastive losses."""
from .hard_anchor_sampler import HardAnchorSampler
from .key_miner import KeyMiner

__all__ = ['HardAnchorSampler', 'KeyMiner']
