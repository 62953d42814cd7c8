"""Loss modules, which hold the options of the losses in `functional`."""
from .discriminative_loss import DiscriminativeLoss
from .image_sentence_loss import ImageSentenceLoss
from .noun_region_loss import NounRegionLoss
from .panoptic_segsort_loss import PanopticSegSortLoss
from .pixel_contrast_loss import PixelContrastLoss
from .segsort_loss import SegSortLoss

__all__ = [
    'DiscriminativeLoss', 'ImageSentenceLoss', 'NounRegionLoss',
    'PanopticSegSortLoss', 'PixelContrastLoss', 'SegSortLoss'
]
