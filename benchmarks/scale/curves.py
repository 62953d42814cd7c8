"""The curves: what is measured, over which size.

Shapes: A anchors, B images, C classes, D embedding dims, K instances or
clusters, M slots or rows, N pixels, P prototypes, Q queries.
"""
from functools import partial
from typing import Callable, Dict, NamedTuple, Sequence

import torch

from benchmarks.cases.d1 import instances
from benchmarks.cases.m1 import BANDWIDTH, MIN_PIXELS
from benchmarks.cases.r1 import NEIGHBORS
from benchmarks.cases.steps import ContrastStep
from benchmarks.inputs import balls
from benchmarks.peers.discriminative import by_rows
from mmpixsort.functional import nearest_keys, seed_mean_shift
from mmpixsort.plan.steps import contrast_step, sorting_step

CPU = torch.device('cpu')
CLASSES, SECTIONS = 19, 2
ANCHORS = 256  # for less time; the time is proportional to them
POINTS = 20_000
Step = Callable[[], object]


class Curve(NamedTuple):
    """A function of this package over one size.

    Attributes:
        title: What is measured.
        unit: What is counted along the curve.
        sizes: Sizes, from small to large.
        fixed: The other sizes, by name.
        build: Function that makes the inputs of a size and returns the step.
        count: Function from a size to what the axis shows.
    """

    title: str
    unit: str
    sizes: Sequence[int]
    fixed: Dict[str, int]
    build: Callable[[int], Step]
    count: Callable[[int], int] = int

    def small(self) -> Step:
        """Return the step of the smallest size."""
        return self.build(self.sizes[0])


def bank_keys(capacity: int) -> int:
    """Return the keys of a step: those of the queues and of the batch."""
    return CLASSES * SECTIONS * capacity + ANCHORS


def against_bank(capacity: int, dims: int) -> Step:
    """Return pixel contrast against full queues, with its gradient."""
    return contrast_step(
        num_classes=CLASSES, capacity=capacity, embed_dims=dims,
        num_anchors=ANCHORS, num_sections=SECTIONS, fill=True)


def of_batch(images: int) -> Step:
    """Return sampling, loss and gradient of the map, within the batch."""
    return ContrastStep(images, 256, (64, 128)).trial(CPU).ours


def of_segments(segments: int) -> Step:
    """Return segment sorting with the gradients of pixels and prototypes."""
    return sorting_step(
        num_segments=segments, capacity=0, embed_dims=64, num_anchors=16384,
        fill=True)


def of_instances(count: int) -> Step:
    """Return the discriminative loss with the gradient of the map."""
    return instances(16, count, by_rows).build(CPU).ours


def of_clusters(count: int) -> Step:
    """Return the mean shift that finds so many clusters."""
    points, _ = balls(POINTS, 8, count)
    return lambda: seed_mean_shift(
        points, bandwidth=BANDWIDTH, min_pixels=MIN_PIXELS)


def search(rows: int, dims: int, queries: int) -> Step:
    """Return the search for queries in a bank of unit rows."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(rows, dims, generator=generator)
    keys /= torch.linalg.vector_norm(keys, dim=1, keepdim=True)
    asked = torch.randn(queries, dims, generator=generator)
    return lambda: nearest_keys(asked, keys, num_neighbors=NEIGHBORS)


def of_rows(count: int) -> Step:
    """Return the search for the segments of an image in a bank."""
    return search(count, 32, 144)


CURVES = {
    'bank': Curve(
        'pixel contrast against a bank', 'keys',
        (250, 500, 1250, 2500, 5000, 10_000, 26_000),
        dict(num_anchors=ANCHORS, embed_dims=256),
        partial(against_bank, dims=256), bank_keys),
    'dims': Curve(
        'pixel contrast against a bank', 'embedding dims',
        (16, 32, 64, 128, 256, 512),
        dict(num_anchors=ANCHORS, num_keys=bank_keys(500)),
        partial(against_bank, 500)),
    'batch': Curve(
        'step of pixel contrast', 'images', (1, 2, 4, 8, 16, 32),
        dict(num_anchors=1024, embed_dims=256, height=64, width=128),
        of_batch),
    'segments': Curve(
        'segment sorting', 'prototypes',
        (125, 250, 500, 1000, 2000, 4000, 8000),
        dict(num_anchors=16384, embed_dims=64), of_segments),
    'instances': Curve(
        'discriminative loss', 'instances', (5, 10, 20, 50, 100, 200, 500),
        dict(embed_dims=16, height=512, width=1024), of_instances),
    'clusters': Curve(
        'mean shift', 'instances', (5, 10, 20, 50, 100, 200, 500),
        dict(num_points=POINTS, embed_dims=8), of_clusters),
    'retrieval': Curve(
        'nearest keys', 'rows of the bank',
        (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000),
        dict(num_queries=144, embed_dims=32, num_neighbors=NEIGHBORS),
        of_rows)
}
