"""Datasets for MMDetection."""
from .cvppp import CVPPPDataset
from .dsb2018 import DSB2018Dataset
from .panoptic import (CityscapesPanopticDataset, COCOPanopticDataset,
                       CWFIDPanopticDataset, PanopticDataset,
                       VOCPanopticDataset)
from .sticks import ScatteredSticksDataset
from .street_panoptic import StreetScenesPanopticDataset

__all__ = [
    'COCOPanopticDataset', 'CVPPPDataset', 'CWFIDPanopticDataset',
    'CityscapesPanopticDataset', 'DSB2018Dataset', 'PanopticDataset',
    'ScatteredSticksDataset', 'StreetScenesPanopticDataset',
    'VOCPanopticDataset'
]
