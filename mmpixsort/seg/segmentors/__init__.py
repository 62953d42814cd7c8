"""Host segmentors with metric heads."""
from .metric_segmentors import (MetricCascadeEncoderDecoder,
                                MetricEncoderDecoder)
from .text_group_segmentor import TextGroupSegmentor

__all__ = [
    'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
    'TextGroupSegmentor'
]
