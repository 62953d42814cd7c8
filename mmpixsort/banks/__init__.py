"""Banks: embeddings kept across iterations, in buffers only."""
from .class_queue import ClassQueue

__all__ = ['ClassQueue']
