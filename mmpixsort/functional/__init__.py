"""Layer 0: functions of torch alone, without state or registry."""
from .contrast import pixel_contrast
from .pca import pca_rgb
from .reduction import masked_mean

__all__ = ['masked_mean', 'pca_rgb', 'pixel_contrast']
