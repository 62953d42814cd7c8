"""Layers: features, projection, schedules, segments, words and regions."""
from ..utils import engine  # noqa: F401  says what is missing
from .backbone_dual import BackboneDual
from .backbone_feature import BackboneFeature
from .cluster_backends import (ClusterBackend, MeanShiftBackend,
                               SklearnBackend)
from .color_feature import ColorFeature
from .features import select_feature, tap
from .mask_backends import ComponentsBackend
from .masked_region_encoder import MaskedRegionEncoder
from .open_clip_dual import OpenCLIPDual
from .projection_head import ProjectionHead
from .region_grouper import RegionGrouper
from .region_pool import RegionPool
from .schedule import TrainingClock, warmup_weight
from .segmenter import KMeansSegmenter
from .separated_components import SeparatedComponentsBackend
from .ssl_feature import SSLFeature
from .text_bank import TextBank
from .tiny_dual import TinyDual

__all__ = [
    'BackboneDual', 'BackboneFeature', 'ClusterBackend', 'ColorFeature',
    'ComponentsBackend', 'KMeansSegmenter', 'MaskedRegionEncoder',
    'MeanShiftBackend', 'OpenCLIPDual', 'ProjectionHead', 'RegionGrouper',
    'RegionPool', 'SSLFeature', 'SeparatedComponentsBackend',
    'SklearnBackend', 'TextBank', 'TinyDual',
    'TrainingClock', 'select_feature', 'tap', 'warmup_weight'
]
