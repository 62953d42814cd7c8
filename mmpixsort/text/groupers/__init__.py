"""Group pixels into regions to be named, and compute features for this."""
from .backbone_feature import BackboneFeature
from .color_feature import ColorFeature
from .region_grouper import RegionGrouper
from .ssl_feature import SSLFeature

__all__ = ['BackboneFeature', 'ColorFeature', 'RegionGrouper', 'SSLFeature']
