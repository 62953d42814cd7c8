"""Generators of synthetic scenes and readers of labels, host-free."""
from .instance_maps import instances_of_map, read_instance_map
from .sticks import ScatteredSticks, StickScene
from .street_classes import CLASSES, IGNORE, PALETTE, THING_CLASSES
from .street_scenes import Scene, StreetScenes

__all__ = [
    'CLASSES', 'IGNORE', 'PALETTE', 'ScatteredSticks', 'Scene', 'StickScene',
    'StreetScenes', 'THING_CLASSES', 'instances_of_map', 'read_instance_map'
]
