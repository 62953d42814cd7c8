"""Say how far long work is, on a terminal and in a log."""
import time
from contextlib import contextmanager
from functools import partial
from typing import Callable, Iterable, Iterator, Optional

from mmengine.dist import is_main_process
from mmengine.logging import print_log

SECONDS = 10.  # between two lines of a log


@contextmanager
def progress(total: int,
             what: str,
             *,
             unit: str = 'images',
             bar: bool = True) -> Iterator[Callable[..., None]]:
    """Show the progress of work on many items, on the main process.

    A terminal shows a bar with the time that is left. A log gets a line
    every ten seconds, so that long work is not silent and short work says
    nothing.

    Args:
        total: Number of items.
        what: What is done with them: 'embedding'.
        unit: Plural of the items.
        bar: Whether a terminal shows a bar; False in a training, whose
            lines would tear it apart.

    Yields:
        A function to call when items are done, with their number, by
        default 1.

    Example::

        with progress(len(images), 'embedding') as advance:
            for image in images:
                embed(image)
                advance()
    """
    if not is_main_process():
        yield lambda count=1: None
        return
    if bar and _is_terminal():
        with _bar(unit) as shown:
            yield partial(shown.advance, shown.add_task(what, total=total))
        return
    yield _Log(total, what, unit).advance


def tracked(items: Iterable,
            what: str,
            *,
            unit: str = 'images',
            total: Optional[int] = None) -> Iterator:
    """Yield items, and show the progress; see :func:`progress`.

    Args:
        items: Items, with a length unless `total` is given.
        what: What is done with them.
        unit: Plural of the items.
        total: Number of items; None: their length.

    Example:
        >>> list(tracked('ab', 'embedding'))
        ['a', 'b']
    """
    total = len(items) if total is None else total
    with progress(total, what, unit=unit) as advance:
        for item in items:
            yield item
            advance()


class _Log:
    """Lines of a log, some seconds apart."""

    def __init__(self, total: int, what: str, unit: str) -> None:
        self.total, self.what, self.unit = total, what, unit
        self.done = 0
        self.start = self.last = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count items, and write a line if one is due."""
        self.done += count
        now = time.monotonic()
        if now - self.last < SECONDS or self.done >= self.total:
            return
        self.last = now
        left = (now - self.start) / self.done * (self.total - self.done)
        print_log(f'{self.what}: {self.done} of {self.total} {self.unit}, '
                  f'{left:.0f} s left', 'current')


def _is_terminal() -> bool:
    from rich.console import Console
    return Console().is_terminal


def _bar(unit: str):
    from rich.progress import (BarColumn, MofNCompleteColumn, Progress,
                               TextColumn, TimeRemainingColumn)
    return Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
        TextColumn(unit), TimeRemainingColumn())
