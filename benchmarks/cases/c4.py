"""The loss of 1024 anchors against a bank, with its gradient."""
from typing import List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial, gradient
from benchmarks.equality import Equal
from benchmarks.inputs import unit_rows
from benchmarks.peers.contrast import pair_loss
from benchmarks.peers.libraries import library
from mmpixsort.losses import PixelContrastLoss
from mmpixsort.structures import KeyBlock

from .steps import BASE, GRADIENT_LIMIT, LOSS_LIMIT, TEMPERATURE


def against_bank(name: str, anchors: int, dims: int, num_classes: int,
                 capacity: int, *, target: str = '', supcon: bool = False,
                 scale: bool = True) -> Setup:
    """Return a setup of anchors and a queue of every class.

    Args:
        name: Name of the setup.
        anchors: A.
        dims: D.
        num_classes: C.
        capacity: M, slots of a queue, all of them filled.
        target: Target of the ratio.
        supcon: Whether the peer is SupConLoss of pytorch-metric-learning
            rather than the published formula of pixel contrast.
        scale: Whether it counts for the exponent.
    """

    def build(device: torch.device) -> Trial:
        rows = unit_rows(anchors, dims).to(device).requires_grad_()
        labels = (torch.arange(anchors) % num_classes).to(device)
        keys = unit_rows(num_classes * capacity, dims, seed=1).to(device)
        key_labels = torch.arange(num_classes, device=device)
        key_labels = key_labels[:, None].expand(-1, capacity)
        flat_labels = key_labels.flatten()
        bank = KeyBlock(keys.view(num_classes, capacity, dims), key_labels)
        module = PixelContrastLoss(
            temperature=TEMPERATURE, loss_weight=1.,
            base_temperature=None if supcon else BASE,
            denominator='supcon' if supcon else 'per_positive')
        if supcon:
            theirs = _supcon_loss()

        def ours() -> Tensor:
            rows.grad = None
            loss = module(rows, labels, [bank])
            loss.backward()
            return loss.detach()

        def peer() -> Tensor:
            rows.grad = None
            if supcon:
                loss = theirs(rows, labels, ref_emb=keys,
                              ref_labels=flat_labels)
            else:
                loss = pair_loss(
                    rows, labels, keys, flat_labels, own=False,
                    temperature=TEMPERATURE, base_temperature=BASE)
            loss.backward()
            return loss.detach()

        def equals() -> List[Equal]:
            want, want_grad = peer(), gradient(rows)
            return [Equal('loss', ours(), want, LOSS_LIMIT),
                    Equal('gradient of the anchors', gradient(rows),
                          want_grad, GRADIENT_LIMIT)]

        return Trial(ours, peer, equals)

    keys = num_classes * capacity
    return Setup(
        name, f'A {anchors}, D {dims}, {num_classes} x {capacity} keys',
        build, peer='pytorch-metric-learning SupCon' if supcon else
        'matrix of all pairs', target=target,
        scale=keys if scale else None)


def _supcon_loss():
    losses = library('pytorch_metric_learning.losses')
    distances = library('pytorch_metric_learning.distances')
    # rows are unit vectors already
    return losses.SupConLoss(
        temperature=TEMPERATURE, distance=distances.DotProductSimilarity(
            normalize_embeddings=False))


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes of the bank."""
    if tiny:
        return [against_bank('tiny', 12, 8, 3, 10),
                against_bank('tiny SupCon', 12, 8, 3, 10, supcon=True,
                             scale=False)]
    return [
        against_bank('19k keys', 1024, 256, 19, 1000, target='4x'),
        against_bank('38k keys', 1024, 256, 19, 2000, target='4x'),
        against_bank('95k keys', 1024, 256, 19, 5000, target='4x'),
        against_bank('SupCon, 19k keys', 1024, 256, 19, 1000, supcon=True,
                     scale=False)
    ]


CASE = Case(
    'C4', 'the loss against a bank, by its size', setups,
    limits='Two matrix products of 1024 rows with all keys take 84 % of our '
    'time. Tried: tiles of 32 to 1024 rows; 256 are as fast as any.')
