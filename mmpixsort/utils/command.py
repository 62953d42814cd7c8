"""Helpers of the command line tools; importing needs no mm package."""
import sys
from contextlib import contextmanager
from typing import Iterator, Type

from mmpixsort.compat import quiet_hosts

__all__ = ['errors_as_text', 'quiet_hosts']


@contextmanager
def errors_as_text(*others: Type[Exception]) -> Iterator[None]:
    """End the process with a line `error: ...` instead of a traceback.

    Use it around code in which wrong input of the user may raise errors.

    Args:
        others: Exceptions to report in this way, beside ImportError, OSError
            and ValueError.

    Raises:
        SystemExit: If the block raises one of these exceptions.
    """
    try:
        yield
    except (ImportError, OSError, ValueError, *others) as error:
        sys.exit(f'error: {error}')
