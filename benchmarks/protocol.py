"""Time two functions against each other on a machine that is not idle.

Both run alternately, A B B A, so that a slow drift of the machine affects both
equally; a ratio is computed from two neighbouring runs. In every round the
function A also runs against itself in the same way. This control should be 1;
if it is not, nothing is published.
"""
import statistics
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

DRIFT = 0.05  # largest allowed difference of the control from 1
MIN_ROUNDS = 3
RESAMPLES = 9999


class Plan(NamedTuple):
    """Amount of measurement.

    Attributes:
        pairs: Number of pairs of a setup, two in each round.
        seconds: Wall time after which no further round of a setup starts.
        attempts: Number of times that a setup is measured before it is
            refused.
    """

    pairs: int = 15
    seconds: float = 5.
    attempts: int = 3


class Samples(NamedTuple):
    """Seconds of all runs of a measurement.

    Attributes:
        ours: Runs of this package.
        peer: Neighbouring runs of the peer; empty if there is no peer.
        control: Pairs of runs of this package against itself.
    """

    ours: List[float]
    peer: List[float]
    control: List[Tuple[float, float]]


def sample(ours: Callable,
           peer: Optional[Callable],
           *,
           clock: Callable[[Callable], float],
           plan: Plan,
           now: Callable[[], float] = time.monotonic) -> Samples:
    """Run rounds of A B B A and of A A A A.

    Args:
        ours: Function of this package.
        peer: Function of the peer. With None only the control runs.
        clock: Function that returns the seconds of a call.
        plan: Amount of measurement; there are at least three rounds.
        now: Function that returns the wall time in seconds.
    """
    for function in (ours, peer):
        if function is not None:
            clock(function)  # warm-up
    result, start, rounds = Samples([], [], []), now(), 0
    while 2 * rounds < plan.pairs and (
            rounds < MIN_ROUNDS or now() - start < plan.seconds):
        rounds += 1
        if peer is not None:
            a, b, c, d = map(clock, (ours, peer, peer, ours))
            result.ours.extend((a, d))
            result.peer.extend((b, c))
        a, b, c, d = map(clock, (ours, ) * 4)
        result.control.extend(((a, b), (d, c)))
    if peer is None:
        result.ours.extend(t for pair in result.control for t in pair)
    return result


def median_ratio(pairs: List[Tuple[float, float]]) -> float:
    """Return the median of the second divided by the first of each pair."""
    return statistics.median(b / a for a, b in pairs)


def interval(values: List[float]) -> Tuple[float, float]:
    """Return the 95 % bootstrap interval of the median."""
    try:
        from scipy.stats import bootstrap
    except ImportError as error:
        from mmpixsort.utils.extras import extra_error
        raise extra_error('intervals need SciPy', 'benchmarks',
                          error) from error
    import numpy as np
    found = bootstrap(
        (np.asarray(values), ), np.median, confidence_level=.95,
        n_resamples=RESAMPLES, method='percentile',
        rng=np.random.default_rng(0)).confidence_interval
    return float(found.low), float(found.high)


def measure(ours: Callable,
            peer: Optional[Callable],
            *,
            clock: Callable[[Callable], float],
            plan: Plan,
            now: Callable[[], float] = time.monotonic,
            report: Callable[[str], None] = print) -> Dict[str, float]:
    """Return the ratio with its interval, or that it was refused.

    A measurement whose control is not near 1 is repeated. If no attempt
    succeeds, the result contains `refused`, the last control, and no time.

    Args:
        ours: Function of this package.
        peer: Function of the peer; None for a time alone.
        clock: Function that returns the seconds of a call.
        plan: Amount of measurement.
        now: Function that returns the wall time in seconds.
        report: Function that is called with a sentence when a measurement is
            repeated.
    """
    for _ in range(plan.attempts):
        samples = sample(ours, peer, clock=clock, plan=plan, now=now)
        control = median_ratio(samples.control)
        if abs(control - 1) <= DRIFT:
            return summary(samples, control)
        report(f'the control of equal functions is {control:.3f}, not 1 '
               f'within {DRIFT:g}: the machine is not steady')
    return dict(refused=control)


def summary(samples: Samples, control: float) -> Dict[str, float]:
    """Return the medians of a measurement that may be published."""
    result = dict(
        ours_ms=1e3 * statistics.median(samples.ours), control=control,
        pairs=len(samples.ours))
    if samples.peer:
        pairs = list(zip(samples.ours, samples.peer))
        low, high = interval([b / a for a, b in pairs])
        result.update(
            peer_ms=1e3 * statistics.median(samples.peer),
            ratio=median_ratio(pairs), low=low, high=high)
    return result
