"""Cityscapes as a panoptic MMDetection dataset."""
import os.path as osp

from mmdet.datasets import CityscapesDataset

from mmpixsort.registry import DATASETS

from .panoptic import PanopticDataset


@DATASETS.register_module()
class CityscapesPanopticDataset(PanopticDataset):
    """Cityscapes panoptic data set with 8 classes of things and 11 of stuff.

    Cordts et al., CVPR 2016; 2975 training and 500 validation images. The
    JSON and the PNGs are made by the official script
    `cityscapesscripts/preparation/createPanopticImgs.py`, with or without
    its option `--use-train-id`. The script writes names of images that do
    not exist, `..._gtFine_leftImg8bit.png` without the folder of the city;
    they are corrected here.
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
        """Return the path CITY/CITY_000000_000019_leftImg8bit.png."""
        name = osp.basename(image['file_name'])
        name = name.replace('_gtFine_leftImg8bit', '_leftImg8bit')
        return osp.join(name.split('_')[0], name)
