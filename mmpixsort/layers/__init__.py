"""Layers: projection, features of the host, schedules."""
from .features import select_feature, tap
from .projection_head import ProjectionHead
from .schedule import TrainingClock, warmup_weight

__all__ = [
    'ProjectionHead', 'TrainingClock', 'select_feature', 'tap',
    'warmup_weight'
]
