"""Show the progress of long work, on a terminal and in a log."""
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
    """Show the progress of work on many items, in the main process.

    A terminal shows a bar with the remaining time. Otherwise a line is
    logged every ten seconds, so work that takes less time logs nothing.

    Args:
        total: Number of items.
        what: Name of the work, such as 'embedding'.
        unit: Name of the items, in the plural.
        bar: Whether to show a bar on a terminal. Use False during training,
            whose log lines would break the bar.

    Yields:
        Function to call when items are done, with their number (default 1).

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
    """Yield items while showing the progress; see :func:`progress`.

    Args:
        items: Items, which must have a length unless `total` is given.
        what: Name of the work.
        unit: Name of the items, in the plural.
        total: Number of items; None takes their length.

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
    """Writer of progress lines to the log, at least SECONDS apart."""

    def __init__(self, total: int, what: str, unit: str) -> None:
        self.total, self.what, self.unit = total, what, unit
        self.done = 0
        self.start = self.last = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count items, and log a line if enough time has passed."""
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
