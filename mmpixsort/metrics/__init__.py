"""Metrics of mmengine."""
from .boundary_f import BoundaryFMetric

__all__ = ['BoundaryFMetric']
