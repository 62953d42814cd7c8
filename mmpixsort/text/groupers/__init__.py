"""Groups of pixels that are to be named, and the features that group them."""
from .backbone_feature import BackboneFeature
from .color_feature import ColorFeature
from .region_grouper import RegionGrouper
from .ssl_feature import SSLFeature

__all__ = ['BackboneFeature', 'ColorFeature', 'RegionGrouper', 'SSLFeature']
