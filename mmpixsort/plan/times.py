"""Estimate times from measured points, which `benchmarks.scale` writes."""
import math
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple, Union

from mmpixsort.utils.reading import read_json

# the file of a clone; an installed package does not have it
MEASURED = Path(__file__).resolve().parents[2] / (
    'benchmarks/results/scale_cpu.json')
FORMAT = 1
REMEDY = ('`python -m benchmarks.scale --out FILE` of a clone makes one on '
          'your machine')

Points = Sequence[Tuple[float, float]]


def read_measured(path: Union[str, Path, None] = None) -> Optional[Dict]:
    """Return measured points, or None where no file is named or shipped.

    Args:
        path: File of `python -m benchmarks.scale`; None: that of the clone.

    Raises:
        FileNotFoundError: If the named file does not exist.
        ValueError: If it is not such a file.
    """
    if path is None and not MEASURED.is_file():
        return None
    path = MEASURED if path is None else Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'`--measured` must be a file of measured points, got '
            f'{str(path)!r}, which does not exist; {REMEDY}')
    data = read_json(path, 'a file of measured points')
    if not isinstance(data, dict) or data.get('format') != FORMAT or (
            'curves' not in data):
        raise ValueError(
            f'`--measured` must be a file of measured points of format '
            f'{FORMAT}, got {str(path)!r}, which is another; {REMEDY}')
    return data


def interpolate(points: Points, size: float) -> float:
    """Return the time at a size, on straight lines between log-log points.

    Beyond the points, the first or last line goes on.

    Args:
        points: Sizes and times, at least one, all above 0.
        size: Size above 0.

    Example:
        >>> interpolate([(10, 1.), (100, 10.), (1000, 40.)], 20)
        2.0
        >>> interpolate([(10, 1.), (100, 10.)], 1000)
        100.0
    """
    logs = sorted((math.log(x), math.log(y)) for x, y in points)
    if len(logs) == 1:  # in proportion
        return points[0][1] * size / points[0][0]
    x = math.log(size)
    last = len(logs) - 2
    i = next((i for i in range(last) if x <= logs[i + 1][0]), last)
    (x0, y0), (x1, y1) = logs[i], logs[i + 1]
    return round(math.exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0)), 9)


def points_of(measured: Dict, curve: str) -> Points:
    """Return the sizes and times in ms of a curve, none if not measured."""
    points = measured['curves'].get(curve, {}).get('points', ())
    return [(point['size'], point['ms']) for point in points]


def estimate_ms(measured: Optional[Dict], curve: str, size: float, *,
                embed_dims: int, **counts: int) -> Optional[float]:
    """Return the time of a step in ms, scaled from a measured curve.

    It is the time of the curve at this size, times the ratio of each count
    to that of the measurement, as the time is proportional to them, times
    the ratio of the times at both dims on the curve `dims`.

    Args:
        measured: Result of :func:`read_measured`.
        curve: 'bank', 'segments' or 'retrieval'.
        size: Number of keys, prototypes or rows.
        embed_dims: D.
        counts: `num_anchors` or `num_queries`.

    Returns:
        None if the curve or that of the dims was not measured.
    """
    points = points_of(measured, curve) if measured else ()
    if not points:
        return None
    fixed = measured['curves'][curve]['fixed']
    time = interpolate(points, size)
    for name, count in counts.items():
        time *= count / fixed[name]
    if embed_dims != fixed['embed_dims']:
        dims = points_of(measured, 'dims')
        if not dims:
            return None
        time *= interpolate(dims, embed_dims) / interpolate(
            dims, fixed['embed_dims'])
    return time


def is_beyond(measured: Dict, curve: str, size: float) -> bool:
    """Return whether a size lies outside of the measured ones."""
    sizes = [x for x, _ in points_of(measured, curve)]
    return not min(sizes) <= size <= max(sizes)
