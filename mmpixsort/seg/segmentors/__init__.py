"""Segmentors of MMSegmentation with metric heads, or with text."""
from .metric_segmentors import (MetricCascadeEncoderDecoder,
                                MetricEncoderDecoder)
from .text_group_segmentor import TextGroupSegmentor

__all__ = [
    'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
    'TextGroupSegmentor'
]
