"""Data transforms for MMDetection pipelines."""
from .id_map_masks import IdMapMasks
from .instance_map import PackInstanceInputs, PaintInstanceMap
from .load_instances import LoadInstanceMap
from .load_panoptic import LoadPanopticMap

__all__ = [
    'IdMapMasks', 'LoadInstanceMap', 'LoadPanopticMap', 'PackInstanceInputs',
    'PaintInstanceMap'
]
