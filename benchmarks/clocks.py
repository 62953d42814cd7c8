"""Clocks: time a function without the time of other processes."""
import math
import time
from typing import Callable

import torch

SHORTEST = 5e-3  # shortest sample in seconds; shorter functions are repeated
OTHER_THREADS = 0.1  # share of other threads' work that makes a time invalid
FLUSH_BYTES = 1 << 28  # written between two samples; exceeds a GPU's cache


class Clock:
    """Measure the seconds of one call of a function.

    Args:
        device: 'cpu' or 'cuda'.
    """

    def __init__(self, device: str) -> None:
        self.seconds = cuda_seconds if device == 'cuda' else cpu_seconds
        self.repeats = {}

    def __call__(self, function: Callable) -> float:
        """Return the seconds of one call, the mean of several if it is short.

        Args:
            function: Function to time. Its first call is a warm-up, whose
                time decides how often it runs in a sample.
        """
        if function not in self.repeats:
            once = self.seconds(function, 1)
            if once < SHORTEST:  # the very first call may have been slow
                once = self.seconds(function, 1)
            self.repeats[function] = max(1, math.ceil(SHORTEST / once))
        count = self.repeats[function]
        return self.seconds(function, count) / count


def cpu_seconds(function: Callable, count: int) -> float:
    """Return the CPU time of this thread in `count` calls.

    Time in which another process uses the core does not count, but page
    faults do.

    Raises:
        RuntimeError: If other threads worked too.
    """
    whole, own = time.process_time(), time.thread_time()
    for _ in range(count):
        function()
    own = time.thread_time() - own
    others = time.process_time() - whole - own
    if others > OTHER_THREADS * own and others > SHORTEST:
        raise RuntimeError(
            'a case must run on one thread, whose CPU time is measured, but '
            f'others worked {others:.3f} s beside its {own:.3f} s; set '
            'OMP_NUM_THREADS=1 and the like for the library that starts them')
    return max(own, 1e-9)


def cuda_seconds(function: Callable, count: int) -> float:
    """Return the time between two CUDA events around `count` calls."""
    flush = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device='cuda')
    flush.zero_()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(count):
        function()
    end.record()
    torch.cuda.synchronize()
    return max(start.elapsed_time(end) / 1e3, 1e-9)
