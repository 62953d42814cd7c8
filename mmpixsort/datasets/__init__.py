"""Generators of synthetic scenes and readers of labels, host-free."""
from .instance_maps import instances_of_map, read_instance_map
from .panoptic_maps import (id_to_rgb, join_maps, read_panoptic_map,
                            rgb_to_id)
from .sticks import ScatteredSticks, StickScene
from .street_classes import CLASSES, IGNORE, PALETTE, THING_CLASSES
from .street_scenes import Scene, StreetScenes

__all__ = [
    'CLASSES', 'IGNORE', 'PALETTE', 'ScatteredSticks', 'Scene', 'StickScene',
    'StreetScenes', 'THING_CLASSES', 'id_to_rgb', 'instances_of_map',
    'join_maps', 'read_instance_map', 'read_panoptic_map', 'rgb_to_id'
]
