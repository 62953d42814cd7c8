"""Datasets for MMSegmentation."""
from .camvid import CamVidDataset
from .street_scenes import StreetScenesDataset

__all__ = ['CamVidDataset', 'StreetScenesDataset']
