"""Generators of synthetic scenes, host-free."""
from .street_classes import CLASSES, IGNORE, PALETTE, THING_CLASSES
from .street_scenes import Scene, StreetScenes

__all__ = [
    'CLASSES', 'IGNORE', 'PALETTE', 'Scene', 'StreetScenes', 'THING_CLASSES'
]
