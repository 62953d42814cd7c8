"""Spherical k-means of a batch of maps, ten iterations."""
from typing import List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import smooth_maps
from benchmarks.peers.segsort import kmeans_by_image
from mmpixsort.functional import spherical_kmeans

# a pixel between two prototypes may go either way by rounding, and its move
# takes a few others along in later iterations
LABEL_LIMIT = 1e-3


def clustering(batch: int, dims: int, size: int, grid: int, *,
               num_iters: int = 10, target: str = '', name: str = '',
               scale: float = None) -> Setup:
    """Return a setup of square maps, of which a corner takes no part."""

    def build(device: torch.device) -> Trial:
        maps = smooth_maps(batch, dims, (size, size)).to(device)
        valid = torch.ones_like(maps[:, 0], dtype=torch.bool)
        valid[:, :3, :5] = False

        def ours() -> Tensor:
            return spherical_kmeans(
                maps, valid=valid, grid=(grid, grid), num_iters=num_iters)

        def peer() -> Tensor:
            return kmeans_by_image(maps, valid, grid, num_iters)

        return Trial(ours, peer, lambda: [
            Equal('clusters of the pixels', ours(), peer(), LABEL_LIMIT)])

    return Setup(
        name or f'K {grid**2}, {batch} x {size} x {size}',
        f'B {batch}, {size} x {size}, D {dims} + 2, K {grid**2}, '
        f'{num_iters} iterations', build, peer='loop over images',
        target=target, scale=scale)


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes of SPML, and the two of SegSort."""
    if tiny:
        return [clustering(2, 6, 16, 3)]
    return [
        clustering(4, 64, 128, 6, target='2x'),
        clustering(4, 64, 128, 8, target='2x'),
        clustering(4, 64, 128, 12, target='2x'),
        clustering(4, 256, 128, 6, name='K 36, D 256'),
        clustering(8, 32, 42, 5, target='2x'),
        clustering(16, 32, 60, 5, target='2x')
    ]


CASE = Case(
    'K1', 'spherical k-means of embedding maps', setups,
    limits='The product of pixels and clusters takes half of our time, the '
    'sums of the clusters (`scatter_add_`) a fifth, and finding the best '
    'cluster a tenth; the product is the same for the peer. Tried: other '
    'layouts and sizes of tiles.')
