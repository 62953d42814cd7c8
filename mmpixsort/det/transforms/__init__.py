"""Data transforms for MMDetection pipelines."""
from .instance_map import PackInstanceInputs, PaintInstanceMap
from .load_panoptic import LoadPanopticMap

__all__ = ['LoadPanopticMap', 'PackInstanceInputs', 'PaintInstanceMap']
