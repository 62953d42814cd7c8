"""What the command line tools share; importing this needs no mm package."""
import sys
from contextlib import contextmanager
from typing import Iterator, Type

from mmpixsort.compat import quiet_hosts

__all__ = ['errors_as_text', 'quiet_hosts']


@contextmanager
def errors_as_text(*others: Type[Exception]) -> Iterator[None]:
    """End the process with `error: ...` where input is wrong.

    Args:
        others: Further exceptions that wrong input raises there, beside
            missing packages, files and values.

    Raises:
        SystemExit: In place of these exceptions.
    """
    try:
        yield
    except (ImportError, OSError, ValueError, *others) as error:
        sys.exit(f'error: {error}')
