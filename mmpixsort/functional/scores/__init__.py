"""Scores of predictions: panoptic quality, boundaries, segments, instances."""
