"""Everything that subclasses a class of MMDetection."""
from . import datasets, transforms  # noqa: F401  registers them
from .detectors import EmbeddingInstanceSegmentor
from .heads import InstanceEmbeddingHead

__all__ = ['EmbeddingInstanceSegmentor', 'InstanceEmbeddingHead']
