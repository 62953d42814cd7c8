"""Accuracy of the nearest prototypes, which a training logs."""
from typing import List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import unit_rows
from benchmarks.peers.segsort import top_accuracy
from mmpixsort.functional import nearest_keys, retrieval_accuracy

TOP = 5


def accuracy(num_segments: int, dims: int, num_classes: int,
             target: str = '') -> Setup:
    """Return a setup of prototypes that look each other up."""

    def build(device: torch.device) -> Trial:
        means = unit_rows(num_segments, dims).to(device)
        labels = (torch.arange(num_segments) % num_classes).to(device)

        def ours() -> Tensor:
            # the nearest of all is the prototype itself
            _, found = nearest_keys(means, means, num_neighbors=TOP + 1)
            return retrieval_accuracy(labels[found[:, 1:]], labels).mean

        def peer() -> Tensor:
            return top_accuracy(means, labels, TOP)

        return Trial(ours, peer, lambda: [
            Equal('accuracy', ours(), peer(), 1e-3)])

    return Setup(
        f'P {num_segments}', f'P {num_segments}, D {dims}, the nearest {TOP}',
        build, peer='full sort', target=target)


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [accuracy(40, 6, 3)]
    return [accuracy(2000, 64, 20, '15x')]


CASE = Case(
    'L2', 'accuracy of the nearest prototypes', setups,
    limits='One matrix product takes 56 % of our time and one `topk` 43 %.')
