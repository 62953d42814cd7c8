"""Mean shift at test time, against scikit-learn."""
import warnings
from typing import List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import balls
from benchmarks.peers.libraries import library
from mmpixsort.functional import seed_mean_shift

BANDWIDTH, MIN_PIXELS = 1.5, 10


def clumps(num_points: int, *, dims: int = 8, num_clusters: int = 20,
           bins: bool = True, target: str = '') -> Setup:
    """Return a setup of balls that lie apart.

    Args:
        num_points: N.
        dims: D.
        num_clusters: K.
        bins: Whether the seeds of scikit-learn are bins; else every point is
            one.
        target: Target of the ratio.
    """

    def build(device: torch.device) -> Trial:
        shift = library('sklearn.cluster').MeanShift(
            bandwidth=BANDWIDTH, bin_seeding=bins)
        points, truth = balls(num_points, dims, num_clusters)
        rows, points = points.numpy(), points.to(device)

        def ours() -> Tensor:
            return seed_mean_shift(
                points, bandwidth=BANDWIDTH, min_pixels=MIN_PIXELS).labels

        def peer() -> Tensor:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # of bins
                return torch.from_numpy(shift.fit(rows).labels_)

        def equals() -> List[Equal]:
            score = library('sklearn.metrics').adjusted_rand_score
            found = ours().cpu()
            one = torch.ones(())
            return [
                Equal('adjusted Rand index of one against the other',
                      torch.tensor(score(peer(), found)), one, 1e-3),
                Equal('adjusted Rand index against the balls',
                      torch.tensor(score(truth, found)), one, 1e-3)]

        return Trial(ours, peer, equals)

    seeds = 'bins' if bins else 'every point'
    return Setup(
        f'{num_points:,} points, {seeds}', f'N {num_points:,}, D {dims}, '
        f'{num_clusters} balls', build,
        peer=f'scikit-learn, seeds: {seeds}', target=target,
        devices=('cpu', ))


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [clumps(200, dims=3, num_clusters=4)]
    return [
        clumps(5_000, target='15x'),
        clumps(20_000),
        clumps(50_000, target='40x'),
        clumps(2_000, bins=False)
    ]


CASE = Case(
    'M1', 'mean shift of instance embeddings', setups,
    limits='With 50,000 points half of our time is that of the two products '
    'of all points with all seeds in every step, and of the comparison with '
    'the bandwidth. Tried: the squared lengths as a further column of the '
    'product (no gain). In use: 2^20 similarities at once, in memory that '
    'all steps share, 1.3 times as fast as 2^22.')
