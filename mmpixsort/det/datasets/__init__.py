"""Datasets for MMDetection."""
from .cvppp import CVPPPDataset
from .dsb2018 import DSB2018Dataset
from .sticks import ScatteredSticksDataset

__all__ = ['CVPPPDataset', 'DSB2018Dataset', 'ScatteredSticksDataset']
