"""The discriminative loss with its gradient, by dims and instances."""
from typing import Callable, List, Sequence

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial, gradient
from benchmarks.equality import Equal
from benchmarks.inputs import instance_maps
from benchmarks.peers.discriminative import (by_broadcast, by_rows,
                                             by_scatter)
from mmpixsort.losses import DiscriminativeLoss

from .steps import GRADIENT_LIMIT, LOSS_LIMIT

PEERS = {by_rows: 'rows and index_add', by_scatter: 'scatter on the map',
         by_broadcast: 'every pixel with every instance'}


def instances(dims: int, count: int, theirs: Callable, *,
              size: Sequence[int] = (512, 1024), batch: int = 1,
              target: str = '', scale: bool = False) -> Setup:
    """Return a setup of one map and its instances.

    Args:
        dims: D.
        count: C, instances of an image.
        theirs: The peer.
        size: H and W.
        batch: B.
        target: Target of the ratio.
        scale: Whether it counts for the exponent.
    """

    def build(device: torch.device) -> Trial:
        generator = torch.Generator().manual_seed(0)
        maps = torch.randn(batch, dims, *size, generator=generator)
        maps = maps.to(device).requires_grad_()
        ids = instance_maps(batch, size, count).to(device)
        module = DiscriminativeLoss(background='instance')

        def ours() -> Tensor:
            maps.grad = None
            terms = module(maps, ids, num_ids=count)
            loss = sum(terms[f'loss_{name}'] for name in (
                'pull', 'push', 'reg'))
            loss.backward()
            return loss.detach()

        def peer() -> Tensor:
            maps.grad = None
            loss = theirs(maps, ids, count)
            loss.backward()
            return loss.detach()

        def equals() -> List[Equal]:
            want, want_grad = peer(), gradient(maps)
            return [Equal('loss', ours(), want, LOSS_LIMIT),
                    Equal('gradient of the map', gradient(maps), want_grad,
                          GRADIENT_LIMIT)]

        return Trial(ours, peer, equals)

    return Setup(
        f'D {dims}, C {count}, {PEERS[theirs]}',
        f'B {batch}, {size[0]} x {size[1]}, D {dims}, {count} instances',
        build, peer=PEERS[theirs], target=target,
        scale=count if scale else None)


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [instances(3, 4, theirs, size=(16, 24), batch=2)
                for theirs in PEERS]
    return [
        instances(16, 20, by_rows, scale=True),
        instances(16, 100, by_rows, scale=True),
        instances(16, 200, by_rows, scale=True),
        instances(8, 100, by_rows),
        instances(32, 100, by_rows, target='6x'),
        instances(32, 100, by_scatter, target='6x'),
        # a quarter of each side: the whole takes some 20 GB
        instances(32, 100, by_broadcast, size=(128, 256))
    ]


CASE = Case(
    'D1', 'the discriminative loss', setups,
    limits='With 32 dims a quarter of our time is that of the sums of the '
    'instances (`scatter_add_`) and a fifth that of reading the means back '
    '(`gather`), both for every number of the map and in tiles that stay in '
    'the cache. The peer that scatters on the map itself does the same with '
    'fresh memory for every step.')
