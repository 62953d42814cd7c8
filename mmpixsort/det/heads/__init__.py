"""Heads."""
from .instance_embedding_head import InstanceEmbeddingHead

__all__ = ['InstanceEmbeddingHead']
