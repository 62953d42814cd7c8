"""Memory banks: buffers that keep embeddings across iterations."""
from .class_queue import ClassQueue
from .prototype_queue import PrototypeQueue

__all__ = ['ClassQueue', 'PrototypeQueue']
