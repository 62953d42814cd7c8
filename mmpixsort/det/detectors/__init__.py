"""Detectors."""
from .embedding_instance import EmbeddingInstanceSegmentor

__all__ = ['EmbeddingInstanceSegmentor']
