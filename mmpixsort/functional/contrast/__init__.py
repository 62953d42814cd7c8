"""Contrast of anchors with labelled keys: sampling, mining, tiles, queues."""
from .labels import hard_pixels, resize_labels
from .pixel_contrast import pixel_contrast
from .queues import pixels_and_regions, ring_slots
from .sampling import gather_pixels, sample_anchors

__all__ = [
    'gather_pixels', 'hard_pixels', 'pixel_contrast', 'pixels_and_regions',
    'resize_labels', 'ring_slots', 'sample_anchors'
]
