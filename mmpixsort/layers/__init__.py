"""Layers: projection, features of the host, schedules, segments."""
from .cluster_backends import (ClusterBackend, MeanShiftBackend,
                               SklearnBackend)
from .features import select_feature, tap
from .mask_backends import ComponentsBackend
from .projection_head import ProjectionHead
from .schedule import TrainingClock, warmup_weight
from .segmenter import KMeansSegmenter

__all__ = [
    'ClusterBackend', 'ComponentsBackend', 'KMeansSegmenter',
    'MeanShiftBackend', 'ProjectionHead', 'SklearnBackend', 'TrainingClock',
    'select_feature', 'tap', 'warmup_weight'
]
