"""Groupers of pixels into regions, and the features that they use."""
from .backbone_feature import BackboneFeature
from .color_feature import ColorFeature
from .region_grouper import RegionGrouper
from .ssl_feature import SSLFeature

__all__ = ['BackboneFeature', 'ColorFeature', 'RegionGrouper', 'SSLFeature']
