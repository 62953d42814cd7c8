"""Losses: modules that hold hyper-parameters and call `functional`."""
from .pixel_contrast_loss import PixelContrastLoss

__all__ = ['PixelContrastLoss']
