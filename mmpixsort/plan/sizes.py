"""Exact sizes, in bytes, of banks and of the rows that ranks exchange.

Shapes: C classes, S sections, M slots or rows, D embedding dims, N rows of a
rank, R ranks. The tests compare every formula with the buffers of the modules
and with the tensors that the modules send.
"""
from mmpixsort.banks.class_queue import DTYPES

INTEGER = 8  # bytes of an int64: labels, counters, indices
FLOAT = 4  # bytes of a float32


def class_queue_bytes(*, num_classes: int, capacity: int, embed_dims: int,
                      num_sections: int = 2, dtype: str = 'float32') -> int:
    """Return the size of the buffers of a :class:`ClassQueue`.

    They are (1 + C S M) D numbers, as the first row takes what is skipped,
    and a counter and a class of each of the C S rings.

    Args:
        num_classes: C.
        capacity: M, slots of each section of each class.
        embed_dims: D.
        num_sections: S; pixel contrast has a section of pixels and one of
            regions.
        dtype: 'float32', 'float16' or 'bfloat16'.

    Example:
        >>> class_queue_bytes(num_classes=19, capacity=5000, embed_dims=256)
        194561632
    """
    num_rings = num_classes * num_sections
    numbers = (1 + num_rings * capacity) * embed_dims
    return numbers * DTYPES[dtype].itemsize + 2 * num_rings * INTEGER


def prototype_queue_bytes(*, capacity: int, embed_dims: int) -> int:
    """Return the size of the buffers of a :class:`PrototypeQueue`.

    Each of 1 + M rows has D float32 numbers, a label and an iteration; there
    are two counters beside them.

    Args:
        capacity: M.
        embed_dims: D.

    Example:
        >>> prototype_queue_bytes(capacity=1024, embed_dims=32)
        147616
    """
    row = embed_dims * FLOAT + 2 * INTEGER
    return (1 + capacity) * row + 2 * INTEGER


def prototype_bank_bytes(*, num_rows: int, embed_dims: int,
                         dtype: str = 'float16') -> int:
    """Return the size of the tensors of a :class:`PrototypeBank`.

    Beside its D numbers, each row has a label, an image, a box of four
    numbers and an area, all int64, and a purity in float32.

    Args:
        num_rows: M, number of segments.
        embed_dims: D.
        dtype: 'float16' or 'float32'.

    Example:
        >>> prototype_bank_bytes(num_rows=10**6, embed_dims=32)
        124000000
    """
    row = embed_dims * DTYPES[dtype].itemsize + 7 * INTEGER + FLOAT
    return num_rows * row


def received_bytes(*, num_rows: int, embed_dims: int, ranks: int,
                   dtype: str = 'float32') -> int:
    """Return what a rank receives when labelled rows are gathered.

    These are the N rows of each of the R - 1 other ranks, each row with an
    int64 label.

    Args:
        num_rows: N, the largest number of rows of a rank.
        embed_dims: D.
        ranks: R.
        dtype: Type of the embeddings.

    Example:
        >>> received_bytes(num_rows=418, embed_dims=256, ranks=8)
        3019632
    """
    row = embed_dims * DTYPES[dtype].itemsize + INTEGER
    return (ranks - 1) * num_rows * row


def queue_rows(*, num_images: int, num_classes: int, num_pixels: int) -> int:
    """Return how many rows pixel contrast hands to its queue in a step.

    Every class of every image has so many pixels and one region, whether it
    is present or not: the shape is fixed.

    Args:
        num_images: Images of a rank.
        num_classes: C.
        num_pixels: Pixels of a class of an image.

    Example:
        >>> queue_rows(num_images=2, num_classes=19, num_pixels=10)
        418
    """
    return num_images * num_classes * (num_pixels + 1)
