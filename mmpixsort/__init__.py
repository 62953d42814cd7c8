"""Pixel-embedding metric learning for MMSegmentation and MMDetection.

The modules `functional`, `losses`, `banks`, `samplers` and `structures` need
only torch. If mmengine is installed, importing the package also lets mmengine
load `mmpixsort::` configs and its own checkpoints; see `mmpixsort.compat`.
"""
from . import compat

__version__ = '0.1.0'

compat.setup()
