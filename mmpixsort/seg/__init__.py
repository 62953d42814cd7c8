"""Everything that subclasses a class of MMSegmentation."""
from . import datasets, metrics, transforms  # noqa: F401  registers them
from .heads import PixelContrastHead, SegSortHead
from .segmentors import MetricCascadeEncoderDecoder, MetricEncoderDecoder

__all__ = [
    'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
    'PixelContrastHead', 'SegSortHead'
]
