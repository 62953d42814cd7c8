"""Layer 0: functions of torch alone, without state or registry.

The public functions of all rooms; what else a room has is found in it.
"""
from .contrast import (gather_pixels, hard_pixels, pixel_contrast,
                       pixels_and_regions, resize_labels, ring_slots,
                       sample_anchors)
from .instances import (context_consistency, context_histograms,
                        discriminative_loss, seed_mean_shift, vmf_mean_shift)
from .pca import pca_rgb
from .reduction import masked_mean
from .scores import (boundary_counts, boundary_scores, instance_overlaps,
                     overlap_counts, panoptic_counts, panoptic_quality,
                     retrieval_accuracy, segment_purity, symmetric_best_dice)
from .segments import (find_segments, grid_labels, linkage_threshold,
                       merge_segments, nearest_keys, pair_statistics,
                       partition_regions, pixel_locations, prototypes,
                       row_similarity, segment_neighbors, segment_sorting,
                       spherical_kmeans, vote_fractions)
from .words import (absorb_slivers, connected_parts, image_sentence_contrast,
                    merge_similar, name_regions, noun_region_contrast,
                    paint_regions, pool_regions, resize_ids,
                    spectral_embedding)

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
