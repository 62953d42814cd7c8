"""Data transforms for MMSegmentation pipelines."""
from .load_captioned_shapes import LoadCaptionedShapes
from .load_oversegmentation import LoadOverSegmentation, MakeOverSegmentation
from .load_scene import LoadStreetScene
from .pack_segments import PackSegmentInputs
from .text_groups import LoadGroups, PackTextInputs, SampleNouns

__all__ = [
    'LoadCaptionedShapes', 'LoadGroups', 'LoadOverSegmentation',
    'LoadStreetScene', 'MakeOverSegmentation', 'PackSegmentInputs',
    'PackTextInputs', 'SampleNouns'
]
