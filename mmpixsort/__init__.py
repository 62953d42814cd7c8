"""Pixel-embedding metric learning for MMSegmentation and MMDetection.

The layers `functional`, `losses`, `banks`, `samplers` and `structures` need
torch alone. With mmengine installed, the import also makes `mmpixsort::`
configs and mmengine checkpoints load; see `mmpixsort.compat`.
"""
from . import compat

__version__ = '0.1.0'

compat.setup()
