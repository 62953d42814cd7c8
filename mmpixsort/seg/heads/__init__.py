"""Metric heads for mmseg segmentors."""
from .pixel_contrast_head import PixelContrastHead
from .segsort_head import SegSortHead

__all__ = ['PixelContrastHead', 'SegSortHead']
