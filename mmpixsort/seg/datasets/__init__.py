"""Datasets for MMSegmentation."""
from .camvid import CamVidDataset
from .captioned_shapes import GeneratedShapesCaptions
from .coco_object import COCOObjectDataset
from .image_caption import ImageCaptionDataset
from .street_scenes import StreetScenesDataset
from .views_sampler import ViewsSampler

__all__ = [
    'CamVidDataset', 'COCOObjectDataset', 'GeneratedShapesCaptions',
    'ImageCaptionDataset', 'StreetScenesDataset', 'ViewsSampler'
]
