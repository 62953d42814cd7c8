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

    Wang et al. (https://arxiv.org/abs/2101.11939), section 3.2, keep pixels
    and regions of a class in queues of their own: these are `num_sections`
    rings of M slots that fill independently, so that frequent pixels do not
    push out regions. An empty slot is marked, not filled with noise, class 0
    is a class, and the oldest entry is the one that goes, unlike in the
    released code.

    All state lies in two buffers of fixed shape: `keys` and `written`, the
    number of rows each ring has ever taken, which gives its next slot
    (written mod M) and its fill (min(written, M)). The first row of `keys`
    is a dump for rows that are skipped; it stays zero.

    Args:
        num_classes: C.
        capacity: M, slots of each section of each class.
        embed_dims: D.
        num_sections: Rings of a class.
        dtype: 'float32', 'float16' or 'bfloat16'.
        persistent: Whether checkpoints hold the queue. C * sections * M * D
            numbers: 19 x 2 x 5000 x 256 in float32 are 195 MB.

    Raises:
        ValueError: On a size below 1 or an unknown dtype.

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

    @torch.no_grad()
    def enqueue(self,
                embeddings: Tensor,
                labels: Tensor,
                sections: Sequence[int] = ()) -> None:
        """Append rows, those of all ranks in rank-major order.

        Ranks may bring different numbers of rows, none too; all ranks must
        call it if any does.

        Args:
            embeddings: (N, D).
            labels: (N,) integer; a row outside [0, C) is skipped.
            sections: How many rows, in order, belong to section 0, 1, ...;
                () puts all rows into section 0.

        Raises:
            ValueError: On a wrong shape or sections that do not add up.
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
        """Return label * num_sections + section (N,)."""
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
        """Return keys (C, sections * M, D), a view, and labels; -1: empty."""
        slot = torch.arange(self.capacity, device=self.written.device)
        filled = slot < self.written[:, None]
        ring = torch.arange(len(self.written), device=slot.device)
        label = ring.div(self.num_sections, rounding_mode='floor')
        labels = torch.where(filled, label[:, None], -1)
        keys = self.keys[1:].view(self.num_classes, -1, self.embed_dims)
        return KeyBlock(keys, labels.view(self.num_classes, -1))

    def entries(self) -> LabeledEmbeddings:
        """Return the filled rows by class and section, oldest first.

        For tests and files: reads the fill, which synchronises.
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
        """Describe the sizes."""
        return (f'num_classes={self.num_classes}, capacity={self.capacity}, '
                f'embed_dims={self.embed_dims}, '
                f'num_sections={self.num_sections}')
