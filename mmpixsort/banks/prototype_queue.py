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
    """Keep the last M prototypes, optionally for a number of iterations.

    Hwang et al. (SegSort, https://arxiv.org/abs/1910.06962) keep the
    prototypes of all devices of the two previous iterations. This queue
    starts empty; the authors' released code starts with random vectors of
    class 0. The state is a set of buffers of fixed shape. Skipped rows are
    written to row 0 of `keys`, which is then set to zero.

    Args:
        capacity: Maximum number of prototypes M.
        embed_dims: Number of embedding dimensions D.
        num_iterations: Number of iterations after its own in which a
            prototype is read. None reads it until newer ones replace it.
        persistent: Whether checkpoints contain the queue.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1.

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
                # iteration in which a row was appended, from 1; 0: empty
                stamps=torch.zeros(1 + capacity, dtype=torch.int64),
                clock=torch.zeros((), dtype=torch.int64),
                written=torch.zeros(1, dtype=torch.int64)).items():
            self.register_buffer(name, value, persistent=persistent)

    @torch.no_grad()
    def enqueue(self, embeddings: Tensor, labels: Tensor) -> None:
        """Append the prototypes of an iteration, ordered by rank.

        Ranks may append different numbers of rows, or none. If one rank
        calls this, all ranks must call it.

        Args:
            embeddings: (N, D) prototypes.
            labels: (N,) integer labels; rows with a negative label are
                skipped.

        Raises:
            TypeError: If `labels` are not integers.
            ValueError: If a shape is wrong.
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
        """Return the keys of all slots with their labels.

        Returns:
            Keys (M, D), a view of the buffer, and labels (M,), -1 for slots
            that are empty or too old.
        """
        labels = self.labels[1:]
        if self.num_iterations is not None:
            old = self.stamps[1:] <= self.clock - self.num_iterations
            labels = labels.masked_fill(old, -1)
        return KeyBlock(self.keys[1:], labels)

    def entries(self) -> LabeledEmbeddings:
        """Return the rows that are neither empty nor too old, oldest first.

        It waits for the device to read the number of filled slots, so it is
        meant for tests and files.
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
        """Return the sizes for the text representation of the module."""
        return (f'capacity={self.capacity}, embed_dims={self.embed_dims}, '
                f'num_iterations={self.num_iterations}')
