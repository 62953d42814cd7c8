"""Modules for text: encoders, groupers, text banks, nouns and captions."""
from mmpixsort.utils import engine  # noqa: F401  says what is missing

from .bank import TextBank
from .encoders import BackboneDual, MaskedRegionEncoder, OpenCLIPDual, TinyDual
from .groupers import BackboneFeature, ColorFeature, RegionGrouper, SSLFeature

__all__ = [
    'BackboneDual', 'BackboneFeature', 'ColorFeature', 'MaskedRegionEncoder',
    'OpenCLIPDual', 'RegionGrouper', 'SSLFeature', 'TextBank', 'TinyDual'
]
