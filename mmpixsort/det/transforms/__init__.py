"""Data transforms for MMDetection pipelines."""
from .instance_map import PackInstanceInputs, PaintInstanceMap

__all__ = ['PackInstanceInputs', 'PaintInstanceMap']
