"""Losses: modules that hold hyper-parameters and call `functional`."""
from .pixel_contrast_loss import PixelContrastLoss
from .segsort_loss import SegSortLoss

__all__ = ['PixelContrastLoss', 'SegSortLoss']
