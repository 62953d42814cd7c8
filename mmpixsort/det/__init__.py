"""Everything that subclasses a class of MMDetection."""
from . import datasets, transforms  # noqa: F401  registers them
from .detectors import EmbeddingInstanceSegmentor, PanopticSegSort
from .heads import (InstanceEmbeddingHead, PanopticDiscriminativeHead,
                    PanopticSegSortHead)

__all__ = [
    'EmbeddingInstanceSegmentor', 'InstanceEmbeddingHead',
    'PanopticDiscriminativeHead', 'PanopticSegSort', 'PanopticSegSortHead'
]
