"""Host segmentors with metric heads."""
from .metric_segmentors import (MetricCascadeEncoderDecoder,
                                MetricEncoderDecoder)

__all__ = ['MetricCascadeEncoderDecoder', 'MetricEncoderDecoder']
