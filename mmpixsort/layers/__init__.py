"""Parts of metric heads: features, projection, schedules and clustering."""
from mmpixsort.utils import engine  # noqa: F401  says what is missing

from .atrous_projection import AtrousProjection
from .cluster_backends import ClusterBackend, MeanShiftBackend, SklearnBackend
from .features import select_feature, tap
from .mask_backends import ComponentsBackend
from .projection_head import ProjectionHead
from .schedule import TrainingClock
from .segmenter import KMeansSegmenter
from .separated_components import SeparatedComponentsBackend

__all__ = [
    'AtrousProjection', 'ClusterBackend', 'ComponentsBackend',
    'KMeansSegmenter', 'MeanShiftBackend', 'ProjectionHead',
    'SeparatedComponentsBackend', 'SklearnBackend', 'TrainingClock',
    'select_feature', 'tap'
]
