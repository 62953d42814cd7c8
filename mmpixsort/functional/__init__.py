"""Stateless functions that need torch alone: the bottom layer of the package.

This module exports the public functions of all its subpackages. Helpers that
are not exported here are private to the package and may change.
"""
from .contrast.labels import hard_pixels, resize_labels
from .contrast.pixel_contrast import pixel_contrast
from .contrast.queues import pixels_and_regions, ring_slots
from .contrast.sampling import gather_pixels, sample_anchors
from .instances.context import context_consistency, context_histograms
from .instances.discriminative import discriminative_loss
from .instances.meanshift import seed_mean_shift
from .instances.vmf_meanshift import vmf_mean_shift
from .pca import pca_rgb
from .reduction import masked_mean
from .scores.boundary import boundary_counts, boundary_scores
from .scores.instances import instance_overlaps, symmetric_best_dice
from .scores.panoptic_quality import panoptic_counts, panoptic_quality
from .scores.segments import overlap_counts, retrieval_accuracy, segment_purity
from .segments.clustering import grid_labels, pixel_locations, spherical_kmeans
from .segments.graph import (linkage_threshold, merge_segments,
                             pair_statistics, segment_neighbors)
from .segments.nearest import nearest_keys, row_similarity, vote_fractions
from .segments.partition import partition_regions
from .segments.prototypes import find_segments, prototypes
from .segments.sorting import segment_sorting
from .words.image_sentence import image_sentence_contrast
from .words.noun_region import noun_region_contrast
from .words.region_cleanup import (absorb_slivers, connected_parts,
                                   merge_similar)
from .words.region_naming import name_regions, paint_regions
from .words.regions import pool_regions, resize_ids
from .words.spectral import spectral_embedding

__all__ = [
    'absorb_slivers', 'boundary_counts', 'boundary_scores', 'connected_parts',
    'context_consistency', 'context_histograms', 'discriminative_loss',
    'find_segments', 'gather_pixels', 'grid_labels', 'hard_pixels',
    'image_sentence_contrast', 'instance_overlaps', 'linkage_threshold',
    'masked_mean', 'merge_segments', 'merge_similar', 'name_regions',
    'nearest_keys', 'noun_region_contrast', 'overlap_counts', 'paint_regions',
    'pair_statistics', 'panoptic_counts', 'panoptic_quality',
    'partition_regions', 'pca_rgb', 'pixel_contrast', 'pixel_locations',
    'pixels_and_regions', 'pool_regions', 'prototypes', 'resize_ids',
    'resize_labels', 'retrieval_accuracy', 'ring_slots', 'row_similarity',
    'sample_anchors', 'seed_mean_shift', 'segment_neighbors', 'segment_purity',
    'segment_sorting', 'spectral_embedding', 'spherical_kmeans',
    'symmetric_best_dice', 'vmf_mean_shift', 'vote_fractions'
]
