"""COCO as a panoptic MMDetection dataset, without panopticapi."""
from mmdet.datasets import CocoPanopticDataset

from mmpixsort.registry import DATASETS

from .panoptic import PanopticDataset


@DATASETS.register_module()
class COCOPanopticDataset(PanopticDataset):
    """COCO panoptic data set with 80 classes of things and 53 of stuff.

    Lin et al., ECCV 2014; Kirillov et al., CVPR 2019. Unlike mmdet's
    `CocoPanopticDataset` it needs no panopticapi.
    """

    METAINFO = {
        key: CocoPanopticDataset.METAINFO[key]
        for key in ('thing_classes', 'stuff_classes', 'palette')
    }
    LAYOUT = ('annotations/panoptic_{train,val}2017.json, '
              'annotations/panoptic_{train,val}2017/*.png, '
              '{train,val}2017/*.jpg (https://cocodataset.org)')
