"""Heads, segmentors, datasets, transforms and metrics for MMSegmentation."""
from . import datasets, metrics, transforms  # noqa: F401  registers them
from .heads import (PixelContrastHead, RefinedASPPHead, SegSortHead,
                    TextGroupHead)
from .segmentors import (MetricCascadeEncoderDecoder, MetricEncoderDecoder,
                         TextGroupSegmentor)

__all__ = [
    'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
    'PixelContrastHead', 'RefinedASPPHead', 'SegSortHead',
    'TextGroupHead', 'TextGroupSegmentor'
]
