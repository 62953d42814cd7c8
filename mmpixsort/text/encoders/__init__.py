"""Dual encoders of images and texts, and an encoder of image regions."""
from .backbone_dual import BackboneDual
from .masked_region_encoder import MaskedRegionEncoder
from .open_clip_dual import OpenCLIPDual
from .tiny_dual import TinyDual

__all__ = ['BackboneDual', 'MaskedRegionEncoder', 'OpenCLIPDual', 'TinyDual']
