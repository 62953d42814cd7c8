"""A first-in first-out queue of prototypes of past iterations."""
from typing import Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_rows
from mmpixsort.functional.contrast.queues import ring_slots
from mmpixsort.registry import MODELS
from mmpixsort.structures import KeyBlock, LabeledEmbeddings
from mmpixsort.utils.gather import gather_labeled

from .loading import WholeState


@MODELS.register_module()
class PrototypeQueue(WholeState):
    """Keep the last prototypes, by count and, if asked for, by iteration.

    Hwang et al. (SegSort, https://arxiv.org/abs/1910.06962) keep the
    prototypes of the two iterations before, of all devices. All state lies
    in buffers of fixed shape; the queue starts empty, where the released
    code starts with random vectors of class 0. The first row of `keys` is a
    dump for rows that are skipped; it stays zero.

    Args:
        capacity: M; of more rows the last M stay.
        embed_dims: D.
        num_iterations: A prototype is read in so many iterations after its
            own; None: until newer ones take its place.
        persistent: Whether checkpoints hold the queue.

    Raises:
        ValueError: On a size below 1.

    Example:
        >>> queue = PrototypeQueue(
        ...     capacity=4, embed_dims=2, num_iterations=1)
        >>> queue.enqueue(torch.eye(2), torch.tensor([3, -1]))
        >>> queue.read().labels
        tensor([ 3, -1, -1, -1])
        >>> queue.enqueue(torch.eye(2), torch.tensor([-1, 5]))
        >>> queue.read().labels
        tensor([-1,  5, -1, -1])
    """

    def __init__(self,
                 *,
                 capacity: int,
                 embed_dims: int,
                 num_iterations: Optional[int] = None,
                 persistent: bool = True) -> None:
        super().__init__()
        check_count('capacity', capacity)
        check_count('embed_dims', embed_dims)
        if num_iterations is not None:
            check_count('num_iterations', num_iterations)
        self.capacity = capacity
        self.embed_dims = embed_dims
        self.num_iterations = num_iterations
        for name, value in dict(
                keys=torch.zeros(1 + capacity, embed_dims),
                labels=torch.full((1 + capacity, ), -1),
                # iteration of a row; 0 comes before the first
                stamps=torch.zeros(1 + capacity, dtype=torch.int64),
                clock=torch.zeros((), dtype=torch.int64),
                written=torch.zeros(1, dtype=torch.int64)).items():
            self.register_buffer(name, value, persistent=persistent)

    @torch.no_grad()
    def enqueue(self, embeddings: Tensor, labels: Tensor) -> None:
        """Append the prototypes of an iteration, in rank-major order.

        Ranks may bring different numbers of rows, none too; all ranks must
        call it if any does.

        Args:
            embeddings: (N, D).
            labels: (N,) integer; a row with a negative label is skipped.

        Raises:
            ValueError: On wrong shapes.
        """
        check_rows('embeddings', embeddings, labels)
        if embeddings.shape[1] != self.embed_dims:
            raise ValueError(
                f'`embeddings` must have {self.embed_dims} dims, got '
                f'{embeddings.shape[1]}; set `embed_dims` of the bank to '
                'that of the projection head')
        embeddings, labels = gather_labeled(
            embeddings.to(self.keys.dtype), labels.long())
        self.clock += 1
        rings = labels.clamp(min=-1, max=0)
        slots, added = ring_slots(rings, self.written, self.capacity)
        self.keys.index_copy_(0, slots, embeddings)
        self.labels.index_copy_(0, slots, labels)
        self.stamps.index_copy_(0, slots, self.clock.expand(len(slots)))
        self.keys[0].zero_()
        self.labels[0].fill_(-1)
        self.written += added

    def read(self) -> KeyBlock:
        """Return keys (M, D), a view, and labels; -1: empty or too old."""
        labels = self.labels[1:]
        if self.num_iterations is not None:
            old = self.stamps[1:] <= self.clock - self.num_iterations
            labels = labels.masked_fill(old, -1)
        return KeyBlock(self.keys[1:], labels)

    def entries(self) -> LabeledEmbeddings:
        """Return the rows that are read, oldest first.

        For tests and files: reads the fill, which synchronises.
        """
        keys, labels = self.read()
        first = int(self.written) % self.capacity
        if self.written <= self.capacity:
            first = 0
        keys, labels = keys.roll(-first, 0), labels.roll(-first, 0)
        return LabeledEmbeddings(keys[labels >= 0], labels[labels >= 0])

    def reset(self) -> None:
        """Empty the queue."""
        for buffer in (self.keys, self.stamps, self.clock, self.written):
            buffer.zero_()
        self.labels.fill_(-1)

    def extra_repr(self) -> str:
        """Describe the sizes."""
        return (f'capacity={self.capacity}, embed_dims={self.embed_dims}, '
                f'num_iterations={self.num_iterations}')
