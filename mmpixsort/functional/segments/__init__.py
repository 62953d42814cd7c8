"""Segments of pixels: clustering, prototypes, sorting, graph, neighbours."""
from .clustering import grid_labels, pixel_locations, spherical_kmeans
from .graph import (linkage_threshold, merge_segments, pair_statistics,
                    segment_neighbors)
from .nearest import nearest_keys, row_similarity, vote_fractions
from .partition import partition_regions
from .prototypes import find_segments, prototypes
from .sorting import segment_sorting

__all__ = [
    'find_segments', 'grid_labels', 'linkage_threshold', 'merge_segments',
    'nearest_keys', 'pair_statistics', 'partition_regions', 'pixel_locations',
    'prototypes', 'row_similarity', 'segment_neighbors', 'segment_sorting',
    'spherical_kmeans', 'vote_fractions'
]
