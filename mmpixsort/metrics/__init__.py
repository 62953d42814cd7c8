"""Metrics on mmengine's BaseMetric, for any host."""
from .boundary_f import BoundaryFMetric
from .cluster_matching import ClusterMatchingMetric
from .instance_map_metric import InstanceMapMetric
from .panoptic_quality_metric import PanopticQualityMetric
from .segment_metric import SegmentMetric

__all__ = [
    'BoundaryFMetric', 'ClusterMatchingMetric', 'InstanceMapMetric',
    'PanopticQualityMetric', 'SegmentMetric'
]
