"""Dual encoders of images and texts, and encoders of regions."""
from .backbone_dual import BackboneDual
from .masked_region_encoder import MaskedRegionEncoder
from .open_clip_dual import OpenCLIPDual
from .tiny_dual import TinyDual

__all__ = ['BackboneDual', 'MaskedRegionEncoder', 'OpenCLIPDual', 'TinyDual']
