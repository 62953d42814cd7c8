"""Time two functions against each other on a machine that is not quiet.

Both run in turn, A B B A, so that a slow drift of the machine hits both
alike; a ratio is that of two neighbours. In every round the function A also
runs against itself in the same way: this control must be 1, and where it is
not, nothing is published.
"""
import statistics
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

DRIFT = 0.05  # largest distance of the control from 1
MIN_ROUNDS = 3
RESAMPLES = 9999


class Plan(NamedTuple):
    """How much is measured.

    Attributes:
        pairs: Pairs of a setup, two a round.
        seconds: Wall time after which no further round of a setup starts.
        attempts: Times that a setup is measured before it is given up.
    """

    pairs: int = 15
    seconds: float = 5.
    attempts: int = 3


class Samples(NamedTuple):
    """Seconds of a measurement.

    Attributes:
        ours: Of this package.
        peer: Of the peer at the same place; empty without a peer.
        control: Pairs of this package against itself.
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
        peer: Function of the peer; None: only the control runs.
        clock: Returns the seconds of a call.
        plan: How much is measured; at least three rounds are.
        now: Returns the wall time in seconds.
    """
    for function in (ours, peer):
        if function is not None:
            clock(function)  # a warm-up of each
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
    """Return the median of second / first."""
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

    A measurement whose control is off is repeated; if it is off every time,
    the result holds `refused`, the last control, and no time.

    Args:
        ours: Function of this package.
        peer: Function of the peer, None for a time alone.
        clock: Returns the seconds of a call.
        plan: How much is measured.
        now: Returns the wall time in seconds.
        report: Called with a sentence when a measurement is repeated.
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
    """Return medians of a measurement that may be published."""
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
