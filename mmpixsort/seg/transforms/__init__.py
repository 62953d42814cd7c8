"""Data transforms for MMSegmentation pipelines."""
from .load_oversegmentation import LoadOverSegmentation, MakeOverSegmentation
from .load_scene import LoadStreetScene
from .pack_segments import PackSegmentInputs

__all__ = [
    'LoadOverSegmentation', 'LoadStreetScene', 'MakeOverSegmentation',
    'PackSegmentInputs'
]
