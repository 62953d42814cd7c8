"""Data transforms for MMSegmentation pipelines."""
from .load_scene import LoadStreetScene

__all__ = ['LoadStreetScene']
