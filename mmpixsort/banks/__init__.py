"""Banks: embeddings kept across iterations, in buffers only."""
from .class_queue import ClassQueue
from .prototype_queue import PrototypeQueue

__all__ = ['ClassQueue', 'PrototypeQueue']
