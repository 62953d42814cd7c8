"""Datasets for MMDetection."""
from .cityscapes_panoptic import CityscapesPanopticDataset
from .coco_panoptic import COCOPanopticDataset
from .cvppp import CVPPPDataset
from .cwfid_panoptic import CWFIDPanopticDataset
from .dsb2018 import DSB2018Dataset
from .panoptic import PanopticDataset
from .sticks import ScatteredSticksDataset
from .street_panoptic import StreetScenesPanopticDataset
from .voc_panoptic import VOCPanopticDataset

__all__ = [
    'COCOPanopticDataset', 'CVPPPDataset', 'CWFIDPanopticDataset',
    'CityscapesPanopticDataset', 'DSB2018Dataset', 'PanopticDataset',
    'ScatteredSticksDataset', 'StreetScenesPanopticDataset',
    'VOCPanopticDataset'
]
