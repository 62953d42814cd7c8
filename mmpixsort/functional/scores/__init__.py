"""Scores: panoptic quality, boundaries, segments, instances."""
