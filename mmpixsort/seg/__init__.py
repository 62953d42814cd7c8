"""Everything that subclasses a class of MMSegmentation."""
from . import datasets, metrics, transforms  # noqa: F401  registers them
from .heads import PixelContrastHead, SegSortHead, TextGroupHead
from .segmentors import (MetricCascadeEncoderDecoder, MetricEncoderDecoder,
                         TextGroupSegmentor)

__all__ = [
    'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
    'PixelContrastHead', 'SegSortHead', 'TextGroupHead',
    'TextGroupSegmentor'
]
