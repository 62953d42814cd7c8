"""Readers of label files and generators of scenes that need no host."""
from .instance_maps import instances_of_map, read_instance_map
from .panoptic_maps import id_to_rgb, join_maps, read_panoptic_map, rgb_to_id

__all__ = [
    'id_to_rgb', 'instances_of_map', 'join_maps', 'read_instance_map',
    'read_panoptic_map', 'rgb_to_id'
]
