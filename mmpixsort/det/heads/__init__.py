"""Heads."""
from .instance_embedding_head import InstanceEmbeddingHead
from .panoptic_segsort_head import PanopticSegSortHead

__all__ = ['InstanceEmbeddingHead', 'PanopticSegSortHead']
