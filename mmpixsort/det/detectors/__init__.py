"""Detectors."""
from .embedding_instance import EmbeddingInstanceSegmentor
from .panoptic_segsort import PanopticSegSort

__all__ = ['EmbeddingInstanceSegmentor', 'PanopticSegSort']
