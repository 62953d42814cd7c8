"""Measure the extra memory of a step: its peak beyond the inputs.

On a CPU each side runs in a process of its own, which is forked before there
are any inputs, so that neither side can reuse memory that the other has freed.
The peak is that of the resident set, as counted by the kernel.
"""
import ctypes
import gc
import multiprocessing
import re
import traceback
from pathlib import Path
from typing import Callable, Optional

import torch

MEGABYTE = 1 << 20
STATUS, RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')


class MemoryMeasurementFailed(RuntimeError):
    """Raised if the step fails in the process that measures its memory."""


def peak_extra_mb(prepare: Callable[[], Callable], device: str
                  ) -> Optional[float]:
    """Return the peak memory of a step beyond its inputs, in MB.

    Args:
        prepare: Function that makes the inputs and returns the step.
        device: 'cpu' or 'cuda'.

    Returns:
        The memory, or None if the system does not report it (only Linux
        does).

    Raises:
        MemoryMeasurementFailed: If the step fails.
    """
    if device == 'cuda':
        return _cuda_peak(prepare)
    if not RESET.exists():
        return None
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(prepare, sender))
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        answer = 'it ended without an answer; there may not be enough memory'
    process.join()
    if isinstance(answer, str):
        raise MemoryMeasurementFailed(
            f'the peak memory of a step cannot be measured: {answer}')
    return answer


def _child(prepare: Callable[[], Callable], sender) -> None:
    try:
        sender.send(_resident_peak(prepare()))
    except Exception:
        sender.send(traceback.format_exc())
    finally:
        sender.close()


def _resident_peak(step: Callable) -> float:
    gc.collect()
    _trim()
    RESET.write_text('5')  # resets the peak
    before = _kilobytes('VmRSS')
    step()
    return max(0., (_kilobytes('VmHWM') - before) / 1024)


def _trim() -> None:
    """Return freed memory to the system, so that a step cannot reuse it."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        pass  # without glibc the result is a lower bound


def _kilobytes(name: str) -> int:
    found = re.search(rf'^{name}:\s+(\d+) kB$', STATUS.read_text(), re.M)
    return int(found[1])


def _cuda_peak(prepare: Callable[[], Callable]) -> float:
    step = prepare()
    step()  # allocates workspaces of libraries
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / MEGABYTE
