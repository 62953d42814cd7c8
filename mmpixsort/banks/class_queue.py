"""A first-in first-out queue of embeddings for every class."""
from typing import Sequence

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_choice, check_count, check_rows
from mmpixsort.functional.contrast.queues import ring_slots
from mmpixsort.registry import MODELS
from mmpixsort.structures import KeyBlock, LabeledEmbeddings
from mmpixsort.utils.gather import gather_labeled

from .loading import WholeState

DTYPES = dict(
    float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16)


@MODELS.register_module()
class ClassQueue(WholeState):
    """Keep the last M embeddings of every class.

    The queue of a class has `num_sections` rings of M slots that fill
    independently. With two sections, pixels and regions have separate queues
    as in Wang et al. (https://arxiv.org/abs/2101.11939), section 3.2, so that
    the many pixels do not displace the regions. Unlike in the authors'
    released code, empty slots are marked rather than filled with noise,
    class 0 is stored as well, and the oldest entry is overwritten first.

    The state is two buffers of fixed shape, `keys` and `written`. `written`
    is the total number of rows that each ring has taken; the next slot is
    written mod M, and min(written, M) slots are filled. Skipped rows are
    written to row 0 of `keys`, which is then set to zero.

    Args:
        num_classes: Number of classes C.
        capacity: Number of slots M of each section of each class.
        embed_dims: Number of embedding dimensions D.
        num_sections: Number of sections (rings) of a class.
        dtype: Dtype of the keys: 'float32', 'float16' or 'bfloat16'.
        persistent: Whether checkpoints contain the queue. It has C *
            num_sections * M * D numbers: 19 x 2 x 5000 x 256 of them in
            float32 take 195 MB.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1 or the dtype is unknown.

    Example:
        >>> queue = ClassQueue(num_classes=2, capacity=3, embed_dims=4)
        >>> queue.enqueue(torch.eye(4)[:2], torch.tensor([1, -1]))
        >>> queue.read().labels
        tensor([[-1, -1, -1],
                [ 1, -1, -1]])
    """

    def __init__(self,
                 *,
                 num_classes: int,
                 capacity: int,
                 embed_dims: int,
                 num_sections: int = 1,
                 dtype: str = 'float32',
                 persistent: bool = True) -> None:
        super().__init__()
        check_count('num_classes', num_classes)
        check_count('capacity', capacity)
        check_count('embed_dims', embed_dims)
        check_count('num_sections', num_sections)
        check_choice('dtype', dtype, tuple(DTYPES))
        self.num_classes = num_classes
        self.capacity = capacity
        self.embed_dims = embed_dims
        self.num_sections = num_sections
        num_rings = num_classes * num_sections
        keys = torch.zeros(
            1 + num_rings * capacity, embed_dims, dtype=DTYPES[dtype])
        written = torch.zeros(num_rings, dtype=torch.int64)
        self.register_buffer('keys', keys, persistent=persistent)
        self.register_buffer('written', written, persistent=persistent)
        classes = torch.arange(num_rings) // num_sections
        self.register_buffer('ring_classes', classes, persistent=False)

    @torch.no_grad()
    def enqueue(self,
                embeddings: Tensor,
                labels: Tensor,
                sections: Sequence[int] = ()) -> None:
        """Append rows to the queues, ordered by rank.

        Ranks may append different numbers of rows, or none. If one rank
        calls this, all ranks must call it.

        Args:
            embeddings: (N, D) floating tensor.
            labels: (N,) integer classes; rows with a label outside [0, C)
                are skipped.
            sections: Numbers of rows of section 0, 1, ... in this order. ()
                puts all rows into section 0.

        Raises:
            TypeError: If `labels` are not integers.
            ValueError: If a shape is wrong or the sections do not add up to
                the number of rows.
        """
        check_rows('embeddings', embeddings, labels)
        if embeddings.shape[1] != self.embed_dims:
            raise ValueError(
                f'`embeddings` must have {self.embed_dims} dims, got '
                f'{embeddings.shape[1]}; set `embed_dims` of the bank to '
                'that of the projection head')
        rings = self._rings(labels, sections)
        embeddings, rings = gather_labeled(
            embeddings.to(self.keys.dtype), rings)
        slots, added = ring_slots(rings, self.written, self.capacity)
        self.keys.index_copy_(0, slots, embeddings)
        self.keys[0].zero_()
        self.written += added

    def _rings(self, labels: Tensor, sections: Sequence[int]) -> Tensor:
        """Return the ring (N,) of each row: label * num_sections + section."""
        sections = tuple(sections) or (len(labels), )
        if sum(sections) != len(labels) or len(sections) > self.num_sections:
            raise ValueError(
                f'`sections` must be at most {self.num_sections} counts that '
                f'add up to {len(labels)} rows, got {sections}')
        rings = labels.long() * self.num_sections
        for section, part in enumerate(rings.split(sections)):
            if section > 0:
                part += section
        return rings

    def read(self) -> KeyBlock:
        """Return the keys of all slots with their labels.

        Returns:
            Keys (C, num_sections * M, D), a view of the buffer, and labels
            (C, num_sections * M), -1 for empty slots.
        """
        slot = torch.arange(self.capacity, device=self.written.device)
        empty = slot >= self.written[:, None]
        labels = self.ring_classes[:, None].expand_as(empty).masked_fill(
            empty, -1)
        keys = self.keys[1:].view(self.num_classes, -1, self.embed_dims)
        return KeyBlock(keys, labels.view(self.num_classes, -1))

    def entries(self) -> LabeledEmbeddings:
        """Return the filled rows by class and section, oldest first.

        It waits for the device to read the number of filled slots, so it is
        meant for tests and files.
        """
        keys, labels = [], []
        rings = self.keys[1:].view(-1, self.capacity, self.embed_dims)
        for ring, (slots, written) in enumerate(
                zip(rings, self.written.tolist())):
            first = written % self.capacity if written > self.capacity else 0
            count = min(written, self.capacity)
            keys.append(slots[:count].roll(-first, 0))
            labels += [ring // self.num_sections] * count
        return LabeledEmbeddings(
            torch.cat(keys), torch.tensor(labels, device=self.keys.device))

    def reset(self) -> None:
        """Empty the queue."""
        self.keys.zero_()
        self.written.zero_()

    def extra_repr(self) -> str:
        """Return the sizes for the text representation of the module."""
        return (f'num_classes={self.num_classes}, capacity={self.capacity}, '
                f'embed_dims={self.embed_dims}, '
                f'num_sections={self.num_sections}')
