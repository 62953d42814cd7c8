"""Metric heads and the text head for segmentors of MMSegmentation."""
from .pixel_contrast_head import PixelContrastHead
from .refined_aspp_head import RefinedASPPHead
from .segsort_head import SegSortHead
from .text_group_head import TextGroupHead

__all__ = [
    'PixelContrastHead', 'RefinedASPPHead', 'SegSortHead', 'TextGroupHead'
]
