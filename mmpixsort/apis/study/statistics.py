"""Compute means, spreads and paired differences over seeds."""
import math
import warnings
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from mmpixsort.utils.extras import extra_error

LEVEL = .95
RESAMPLES = 9999


class Spread(NamedTuple):
    """Mean and spread of the scores of one row.

    Attributes:
        mean: Mean over seeds.
        sd: Sample standard deviation; NaN for one seed.
        count: Number of seeds.
    """

    mean: float
    sd: float
    count: int


class Difference(NamedTuple):
    """Paired difference of a row to the baseline.

    Attributes:
        mean: Mean difference over the seeds that both have.
        count: Number of these seeds.
        by_t: 95 % interval of the mean by Student's t; None for one seed.
        by_bootstrap: 95 % interval by the percentile bootstrap; None for one
            seed.
    """

    mean: float
    count: int
    by_t: Optional[Tuple[float, float]]
    by_bootstrap: Optional[Tuple[float, float]]


def spread(scores: Dict[int, float]) -> Spread:
    """Return the mean and spread of the scores of all seeds."""
    values = np.array(list(scores.values()))
    sd = values.std(ddof=1) if len(values) > 1 else math.nan
    return Spread(float(values.mean()), float(sd), len(values))


def difference(scores: Dict[int, float],
               baseline: Dict[int, float]) -> Optional[Difference]:
    """Return the paired difference over the seeds that both rows have.

    Args:
        scores: Score of each seed.
        baseline: Score of the baseline for each seed.

    Returns:
        The difference, or None if there is no common seed.

    Raises:
        ImportError: If scipy is not installed.
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise extra_error('intervals of differences need scipy', 'study',
                          error) from error
    seeds = sorted(set(scores) & set(baseline))
    if not seeds:
        return None
    values = np.array([scores[s] - baseline[s] for s in seeds])
    mean = float(values.mean())
    if len(values) == 1:
        return Difference(mean, 1, None, None)
    error = stats.sem(values)
    if error == 0:  # the difference is the same for every seed
        return Difference(mean, len(values), (mean, mean), (mean, mean))
    by_t = stats.t.interval(LEVEL, len(values) - 1, loc=mean, scale=error)
    with warnings.catch_warnings():
        # with few seeds, scipy warns if all resamples are equal
        warnings.simplefilter('ignore')
        found = stats.bootstrap(
            (values, ), np.mean, confidence_level=LEVEL, method='percentile',
            n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    interval = found.confidence_interval
    return Difference(mean, len(values), tuple(map(float, by_t)),
                      (float(interval.low), float(interval.high)))
