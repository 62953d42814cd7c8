"""Compare plans of `mmpixsort.plan` with measurements at other sizes."""
from functools import partial
from typing import Callable, Dict, NamedTuple, Optional

from mmpixsort.plan.dry_run import dry_run_peak
from mmpixsort.plan.steps import contrast_step, sorting_step
from mmpixsort.plan.times import estimate_ms

from .curves import CURVES, Step, search
from .measure import Say, measure_step

MEGABYTE = 1 << 20


class Check(NamedTuple):
    """A setting that lies on no curve.

    Attributes:
        sizes: Description for readers.
        step: Function that makes the step, with `fill` or without data.
        curve: Curve that its time is scaled from.
        size: Place on the curve.
        embed_dims: D.
        counts: Numbers that the time is proportional to, by name.
    """

    sizes: str
    step: Callable[..., Step]
    curve: str
    size: int
    embed_dims: int
    counts: Dict[str, int]


def of_bank(num_classes: int, capacity: int, embed_dims: int,
            num_anchors: int) -> Check:
    """Return a check of pixel contrast against a class queue."""
    return Check(
        f'pixel contrast: {num_classes} classes, capacity {capacity}, D '
        f'{embed_dims}, {num_anchors} anchors', partial(
            contrast_step, num_classes=num_classes, capacity=capacity,
            embed_dims=embed_dims, num_anchors=num_anchors), 'bank',
        2 * num_classes * capacity + num_anchors, embed_dims,
        dict(num_anchors=num_anchors))


def of_segments(num_segments: int, capacity: int, embed_dims: int,
                num_anchors: int) -> Check:
    """Return a check of segment sorting with a prototype queue."""
    return Check(
        f'segment sorting: {num_segments} segments, capacity {capacity}, D '
        f'{embed_dims}, {num_anchors} anchors', partial(
            sorting_step, num_segments=num_segments, capacity=capacity,
            embed_dims=embed_dims, num_anchors=num_anchors), 'segments',
        num_segments + capacity, embed_dims, dict(num_anchors=num_anchors))


def of_search(num_rows: int, embed_dims: int, num_queries: int) -> Check:
    """Return a check of the search in a bank of segments."""

    def step(fill: bool = False) -> Step:
        return search(num_rows, embed_dims, num_queries)

    return Check(
        f'nearest keys: {num_rows} rows, D {embed_dims}, {num_queries} '
        'queries', step, 'retrieval', num_rows, embed_dims,
        dict(num_queries=num_queries))


CHECKS = (
    of_bank(19, 1000, 256, 1024), of_bank(19, 5000, 256, 1024),
    of_bank(150, 100, 128, 512), of_bank(21, 3000, 64, 256),
    of_search(100_000, 64, 144), of_search(400_000, 128, 144),
    of_segments(800, 400, 32, 14112), of_segments(1024, 4096, 64, 8192))


def measure_checks(results: Dict, *, quick: bool, say: Say,
                   clock: Optional[Callable] = None) -> None:
    """Measure every setting and put it beside its plan.

    Args:
        results: Results with the curves; 'checks' is added.
        quick: Whether only the last setting is measured.
        say: Function that is called with lines about the progress.
        clock: Function that returns the seconds of a call.
    """
    results['checks'] = []
    for number, check in enumerate(CHECKS[-1:] if quick else CHECKS, 1):
        say(f'check {number}: {check.sizes}')
        planned = estimate_ms(
            results, check.curve, check.size, embed_dims=check.embed_dims,
            **check.counts)
        peak = dry_run_peak(check.step, 'cpu') / MEGABYTE
        measured = measure_step(
            partial(check.step, fill=True), CURVES[check.curve].small, clock)
        results['checks'].append(dict(
            sizes=check.sizes,
            planned_ms=None if planned is None else round(planned, 3),
            planned_mb=round(peak, 2), **measured))
