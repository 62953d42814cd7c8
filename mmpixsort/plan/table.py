"""The lines of a plan: what a setting takes, and where the number is from.

Shapes: A anchors, P segments, K keys, R ranks.
"""
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Optional

from .dry_run import dry_run_peak
from .sizes import (FLOAT, class_queue_bytes, prototype_bank_bytes,
                    prototype_queue_bytes, queue_rows, received_bytes)
from .steps import contrast_step, sorting_step
from .times import estimate_ms, is_beyond

NOT_MEASURED = 'not measured'


class Line(NamedTuple):
    """A line of a plan.

    Attributes:
        name: What takes memory or time.
        value: Number with its unit, or that there is none.
        note: Where the number comes from.
    """

    name: str
    value: str
    note: str = ''


def contrast_sizes(*, classes: int, capacity: int, dims: int, dtype: str,
                   images: int, bank_pixels: int, gathered: int,
                   ranks: int) -> List[Line]:
    """Return the lines of the class queue and of what ranks exchange.

    Args:
        classes: Number of classes.
        capacity: Slots of the pixels, and of the regions, of a class; 0:
            there is no bank.
        dims: Embedding dims.
        dtype: Type of the queue.
        images: Images of a rank.
        bank_pixels: Pixels of a class of an image that enter the queue.
        gathered: Anchors that a rank sends to the others, 0 for none.
        ranks: R.
    """
    lines, received, what = [], 0, []
    if capacity:
        lines.append(_bank(class_queue_bytes(
            num_classes=classes, capacity=capacity, embed_dims=dims,
            dtype=dtype)))
        rows = queue_rows(num_images=images, num_classes=classes,
                          num_pixels=bank_pixels)
        received += received_bytes(
            num_rows=rows, embed_dims=dims, ranks=ranks, dtype=dtype)
        what.append(f'{rows:,} rows for the bank')
    if gathered:
        received += received_bytes(
            num_rows=gathered, embed_dims=dims, ranks=ranks)
        what.append(f'{gathered:,} anchors')
    return lines + [_received(received, ranks, what)]


def contrast_costs(*, classes: int, capacity: int, dims: int, dtype: str,
                   anchors: int, with_batch: bool, gathered: int,
                   measured: Optional[Dict]) -> List[Line]:
    """Return the lines of the memory and the time of pixel contrast.

    Args:
        classes: Number of classes.
        capacity: Slots of the pixels, and of the regions, of a class; 0: no
            key is of the bank.
        dims: Embedding dims.
        dtype: Type of the queue.
        anchors: A, anchors of a rank.
        with_batch: Whether the anchors are keys too.
        gathered: Anchors of all ranks that are keys beside them.
        measured: Measured points; None: there are none.
    """
    step = partial(
        contrast_step, num_classes=classes, capacity=capacity,
        embed_dims=dims, num_anchors=anchors, dtype=dtype,
        with_batch=with_batch, num_gathered=gathered)
    num_keys = with_batch * anchors + gathered + 2 * classes * capacity
    return _peaks(step) + _times(
        measured, 'loss and gradient', 'bank', num_keys, 'keys', dims,
        num_anchors=anchors)


def sorting_lines(*, segments: int, capacity: int, dims: int, anchors: int,
                  ranks: int, measured: Optional[Dict]) -> List[Line]:
    """Return the lines of segment sorting with a prototype queue.

    Args:
        segments: P, room for the segments of a rank.
        capacity: Prototypes of past iterations; 0: there is no bank.
        dims: Embedding dims.
        anchors: A, pixels of a rank.
        ranks: R.
        measured: Measured points; None: there are none.
    """
    lines = []
    received = received_bytes(num_rows=segments, embed_dims=dims, ranks=ranks)
    what = [f'{segments:,} prototypes']
    if capacity:
        lines.append(_bank(prototype_queue_bytes(
            capacity=capacity, embed_dims=dims)))
        received *= 2  # the bank gathers them anew
        what.append('the same for the bank')
    lines.append(_received(received, ranks, what))
    if ranks > 1:
        lines.append(Line(
            'reduced over ranks', megabytes(ranks * segments * dims * FLOAT),
            'exact, in a step: gradient of all prototypes'))
    step = partial(
        sorting_step, num_segments=ranks * segments, capacity=capacity,
        embed_dims=dims, num_anchors=anchors)
    return lines + _peaks(step) + _times(
        measured, 'loss and gradient', 'segments',
        ranks * segments + capacity, 'prototypes', dims, num_anchors=anchors)


def retrieval_lines(*, rows: int, dims: int, dtype: str, queries: int,
                    measured: Optional[Dict]) -> List[Line]:
    """Return the lines of a bank of segments for retrieval.

    Args:
        rows: Number of segments in the bank.
        dims: Embedding dims.
        dtype: 'float16' or 'float32'.
        queries: Segments of an image.
        measured: Measured points; None: there are none.
    """
    return [Line('retrieval bank', megabytes(prototype_bank_bytes(
        num_rows=rows, embed_dims=dims, dtype=dtype)),
        f'exact: {rows:,} segments in {dtype}')] + _times(
            measured, f'search of {queries:,} segments', 'retrieval', rows,
            'rows', dims, num_queries=queries)


def text_of(title: str, lines: List[Line]) -> str:
    """Return the lines as an aligned table."""
    widths = [max(len(line[i]) for line in lines) for i in (0, 1)]
    return '\n'.join([title] + [
        f'  {line.name:<{widths[0]}}  {line.value:>{widths[1]}}  {line.note}'
        .rstrip() for line in lines])


def megabytes(count: float) -> str:
    """Return a number of bytes in units of 1000 or a million bytes.

    Example:
        >>> megabytes(194561328), megabytes(5016), megabytes(0)
        ('194.6 MB', '5.0 kB', '0 bytes')
    """
    if count >= 1e5:
        return f'{count / 1e6:,.1f} MB'
    return f'{count / 1e3:.1f} kB' if count >= 1e3 else f'{count:.0f} bytes'


def _bank(count: int) -> Line:
    return Line('memory bank', megabytes(count), 'exact, on every rank')


def _received(count: int, ranks: int, what: List[str]) -> Line:
    note = 'exact, in a step; each other rank sends ' + (
        ' and '.join(what) or 'nothing')
    return Line('received by a rank', megabytes(count),
                note if ranks > 1 else 'there is one rank')


def _peaks(step: Callable) -> List[Line]:
    return [Line(f'peak of the loss, {name}', megabytes(
        dry_run_peak(step, device)), 'of its tensors, beyond its inputs')
        for name, device in (('CPU', 'cpu'), ('GPU', 'cuda'))]


def _times(measured: Optional[Dict], name: str, curve: str, size: int,
           unit: str, dims: int, **counts: int) -> List[Line]:
    time = estimate_ms(measured, curve, size, embed_dims=dims, **counts)
    if time is None:
        lines = [Line(f'{name}, CPU', NOT_MEASURED, 'see --measured')]
    else:
        how = 'beyond' if is_beyond(measured, curve, size) else 'between'
        lines = [Line(
            f'{name}, CPU', f'{_short(time)} ms',
            f'estimate: {size:,} {unit}, {how} measured points')]
    return lines + [Line(f'{name}, GPU', NOT_MEASURED)]


def _short(value: float) -> str:
    return f'{value:,.0f}' if value >= 10 else f'{value:.1f}'
