"""Pictures of embeddings through the mmengine Visualizer."""
from .embedding_hook import EmbeddingVisualizationHook
from .panels import embedding_pictures, paint_labels, side_by_side

__all__ = [
    'EmbeddingVisualizationHook', 'embedding_pictures', 'paint_labels',
    'side_by_side'
]
