"""The loss of segment sorting with its gradient."""
from typing import List, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.case import Case, Setup, Trial, gradient
from benchmarks.equality import Equal
from benchmarks.inputs import unit_rows
from benchmarks.peers.segsort import sorting_loss
from mmpixsort.losses import SegSortLoss

from .steps import LOSS_LIMIT

CONCENTRATION = 10.
GRADIENT_LIMIT = 1e-3  # the peer subtracts the own term from a sum


def pixels_of_segments(num_pixels: int, num_segments: int, dims: int,
                       num_classes: int) -> Tuple[Tensor, ...]:
    """Return pixels, their segments, prototypes and labels of segments."""
    means = unit_rows(num_segments, dims)
    own = torch.arange(num_pixels) % num_segments
    noise = unit_rows(num_pixels, dims, seed=1)
    rows = normalize(means[own] + noise, dim=1)
    return rows, own, means, torch.arange(num_segments) % num_classes


def sorting(name: str, num_pixels: int, num_segments: int, *, dims: int = 64,
            num_classes: int = 20, with_prototypes: bool = False,
            target: str = '', scale: bool = False) -> Setup:
    """Return a setup of pixels against the segments that they make.

    Args:
        name: Name of the setup.
        num_pixels: N.
        num_segments: P.
        dims: D.
        num_classes: Labels of the segments.
        with_prototypes: Whether the prototypes have a gradient too, as in
            the paper.
        target: Target of the ratio.
        scale: Whether it counts for the exponent.
    """

    def build(device: torch.device) -> Trial:
        rows, own, means, mean_labels = (
            part.to(device) for part in pixels_of_segments(
                num_pixels, num_segments, dims, num_classes))
        labels = mean_labels[own]
        rows.requires_grad_()
        means.requires_grad_(with_prototypes)
        module = SegSortLoss(concentration=CONCENTRATION)

        def ours() -> Tensor:
            rows.grad = means.grad = None
            loss = module(rows, labels, means, mean_labels, own_key=own)
            loss.backward()
            return loss.detach()

        def peer() -> Tensor:
            rows.grad = means.grad = None
            loss = sorting_loss(
                rows, labels, own, means, mean_labels, CONCENTRATION)
            loss.backward()
            return loss.detach()

        def gradients() -> List[Tensor]:
            leaves = [rows] + [means] * with_prototypes
            return [gradient(leaf) for leaf in leaves]

        def equals() -> List[Equal]:
            want, want_grads = peer(), gradients()
            loss, grads = ours(), gradients()
            names = 'gradient of the pixels', 'gradient of the prototypes'
            return [Equal('loss', loss, want, LOSS_LIMIT)] + [
                Equal(*parts, GRADIENT_LIMIT)
                for parts in zip(names, grads, want_grads)]

        return Trial(ours, peer, equals)

    what = 'pixels and prototypes' if with_prototypes else 'pixels'
    return Setup(
        name, f'N {num_pixels}, P {num_segments}, D {dims}, gradient of '
        f'{what}', build, peer='matrix of all pairs', target=target,
        scale=num_segments if scale else None)


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [sorting('tiny', 60, 12, dims=6, num_classes=3),
                sorting('tiny, with prototypes', 60, 12, dims=6,
                        num_classes=3, with_prototypes=True)]
    return [
        sorting('P 1000', 16384, 1000, target='4x', scale=True),
        sorting('P 2000', 16384, 2000, target='4x', scale=True),
        sorting('P 4000', 16384, 4000, target='4x', scale=True),
        sorting('P 1000, prototypes too', 16384, 1000, target='4x',
                with_prototypes=True)
    ]


CASE = Case('L1', 'the loss of segment sorting', setups)
