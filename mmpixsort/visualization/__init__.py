"""Pictures of embeddings and predictions, written by mmengine."""
from mmpixsort.utils import engine  # noqa: F401  requires mmengine

from .embedding_hook import EmbeddingVisualizationHook
from .panels import embedding_pictures, outline_ids, paint_labels, side_by_side
from .word_map import draw_words

__all__ = [
    'EmbeddingVisualizationHook', 'draw_words', 'embedding_pictures',
    'outline_ids', 'paint_labels', 'side_by_side'
]
