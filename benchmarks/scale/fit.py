"""Fit the exponents of curves."""
from typing import Dict, Sequence

from benchmarks.runner import exponents

LAST = 3  # points at the end of a curve, where fixed costs are small


def growth(points: Sequence[Dict]) -> Dict[str, float]:
    """Return the exponents of time and memory over the size.

    They are the slopes of least squares of the logs: 1 where the time is
    proportional to the size, 0 where it does not depend on it.

    Args:
        points: Points of a curve.
    """
    return exponents([
        dict(scale=point['size'],
             pages=dict(default=dict(ours_ms=point['ms'])),
             memory=dict(ours=point['extra_mb'])) for point in points])
