"""Layers: projection, features of the host, schedules, segments."""
from .features import select_feature, tap
from .projection_head import ProjectionHead
from .schedule import TrainingClock, warmup_weight
from .segmenter import KMeansSegmenter

__all__ = [
    'KMeansSegmenter', 'ProjectionHead', 'TrainingClock', 'select_feature',
    'tap', 'warmup_weight'
]
