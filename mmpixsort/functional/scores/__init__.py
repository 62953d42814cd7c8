"""Scores: panoptic quality, boundaries, segments, instances."""
from .boundary import boundary_counts, boundary_scores
from .instances import instance_overlaps, symmetric_best_dice
from .panoptic_quality import panoptic_counts, panoptic_quality
from .segments import overlap_counts, retrieval_accuracy, segment_purity

__all__ = [
    'boundary_counts', 'boundary_scores', 'instance_overlaps',
    'overlap_counts', 'panoptic_counts', 'panoptic_quality',
    'retrieval_accuracy', 'segment_purity', 'symmetric_best_dice'
]
