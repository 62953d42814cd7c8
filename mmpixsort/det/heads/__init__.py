"""Heads."""
from .instance_embedding_head import InstanceEmbeddingHead
from .panoptic_discriminative_head import PanopticDiscriminativeHead
from .panoptic_segsort_head import PanopticSegSortHead

__all__ = ['InstanceEmbeddingHead', 'PanopticDiscriminativeHead',
           'PanopticSegSortHead']
