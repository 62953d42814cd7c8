"""Generators of synthetic scenes with their labels, which need no host."""
from .sticks import ScatteredSticks, StickScene
from .street_classes import CLASSES, IGNORE, PALETTE, THING_CLASSES
from .street_scenes import Scene, StreetScenes

__all__ = [
    'CLASSES', 'IGNORE', 'PALETTE', 'ScatteredSticks', 'Scene', 'StickScene',
    'StreetScenes', 'THING_CLASSES'
]
