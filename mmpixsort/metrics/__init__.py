"""Metrics for the evaluators of mmengine, which work with any host."""
from mmpixsort.utils import engine  # noqa: F401  requires mmengine

from .boundary_f import BoundaryFMetric
from .cluster_matching import ClusterMatchingMetric
from .context_consistency import ContextScores, InstanceBank, score_context
from .group_oracle import GroupOracleMetric
from .instance_map_metric import InstanceMapMetric
from .panoptic_quality_metric import PanopticQualityMetric
from .region_noun_accuracy import RegionNounAccuracy
from .segment_metric import SegmentMetric

__all__ = [
    'BoundaryFMetric', 'ClusterMatchingMetric', 'ContextScores',
    'GroupOracleMetric', 'InstanceBank', 'InstanceMapMetric',
    'PanopticQualityMetric', 'RegionNounAccuracy', 'SegmentMetric',
    'score_context'
]
