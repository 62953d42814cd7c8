"""Cityscapes as a panoptic MMDetection dataset."""
import os.path as osp

from mmdet.datasets import CityscapesDataset

from mmpixsort.registry import DATASETS

from .panoptic import PanopticDataset


@DATASETS.register_module()
class CityscapesPanopticDataset(PanopticDataset):
    """Cityscapes: 8 classes of things, 11 of stuff; 2975 and 500 images.

    Cordts et al., CVPR 2016. The JSON and PNGs are those of the official
    `cityscapesscripts/preparation/createPanopticImgs.py`, with or without
    its `--use-train-id`. Its JSON names images `..._gtFine_leftImg8bit.png`,
    without their city: no such files exist, the real ones are found.
    """

    METAINFO = dict(
        thing_classes=CityscapesDataset.METAINFO['classes'],
        stuff_classes=('road', 'sidewalk', 'building', 'wall', 'fence',
                       'pole', 'traffic light', 'traffic sign', 'vegetation',
                       'terrain', 'sky'),
        palette=[
            *CityscapesDataset.METAINFO['palette'], (128, 64, 128),
            (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
            (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35),
            (152, 251, 152), (70, 130, 180)
        ])
    LAYOUT = ('gtFine/cityscapes_panoptic_{train,val}.json and '
              'gtFine/cityscapes_panoptic_{train,val}/*_gtFine_panoptic.png '
              '(by createPanopticImgs.py of '
              'https://github.com/mcordts/cityscapesScripts), '
              'leftImg8bit/{train,val}/CITY/*_leftImg8bit.png')

    def image_name(self, image: dict) -> str:
        """Return CITY/CITY_000000_000019_leftImg8bit.png."""
        name = osp.basename(image['file_name'])
        name = name.replace('_gtFine_leftImg8bit', '_leftImg8bit')
        return osp.join(name.split('_')[0], name)
