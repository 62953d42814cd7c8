"""NT-Xent of a batch against a memory of past batches."""
from typing import List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial, gradient
from benchmarks.equality import Equal
from benchmarks.inputs import unit_rows
from benchmarks.peers.libraries import library
from mmpixsort.banks import PrototypeQueue
from mmpixsort.losses import PixelContrastLoss

from .steps import GRADIENT_LIMIT, LOSS_LIMIT, TEMPERATURE


def cross_batch(batch: int, memory: int, dims: int, num_classes: int,
                target: str = '') -> Setup:
    """Return a setup of a batch that enters a full memory and meets it."""

    def build(device: torch.device) -> Trial:
        losses = library('pytorch_metric_learning.losses')
        distances = library('pytorch_metric_learning.distances')
        rows = unit_rows(batch, dims).to(device).requires_grad_()
        labels = (torch.arange(batch) % num_classes).to(device)
        past = unit_rows(memory, dims, seed=1).to(device)
        past_labels = (torch.arange(memory) % num_classes).to(device)
        bank = PrototypeQueue(capacity=memory, embed_dims=dims).to(device)
        module = PixelContrastLoss(
            temperature=TEMPERATURE, base_temperature=None, loss_weight=1.)
        theirs = losses.CrossBatchMemory(
            losses.NTXentLoss(
                temperature=TEMPERATURE,
                distance=distances.DotProductSimilarity(
                    normalize_embeddings=False)),
            embedding_size=dims, memory_size=memory)
        # a whole number of batches has gone in on both sides
        slot = torch.arange(batch, device=device)
        state = dict(place=0)

        def fill() -> None:
            state['place'] = 0
            bank.reset()
            bank.enqueue(past, past_labels)
            theirs.reset_queue()
            theirs.to(device)
            theirs.add_to_memory(past, past_labels, memory)
            theirs.has_been_filled = True

        def ours() -> Tensor:
            rows.grad = None
            bank.enqueue(rows.detach(), labels)
            own = (slot + state['place']) % memory
            state['place'] = (state['place'] + batch) % memory
            loss = module(rows, labels, [bank.read()], own_key=own)
            loss.backward()
            return loss.detach()

        def peer() -> Tensor:
            rows.grad = None
            loss = theirs(rows, labels)
            loss.backward()
            return loss.detach()

        def equals() -> List[Equal]:
            fill()
            want, want_grad = peer(), gradient(rows)
            return [Equal('loss', ours(), want, LOSS_LIMIT),
                    Equal('gradient of the batch', gradient(rows), want_grad,
                          GRADIENT_LIMIT)]

        fill()
        return Trial(ours, peer, equals)

    return Setup(
        f'memory {memory}', f'A {batch}, D {dims}, {memory} keys, '
        f'{num_classes} labels', build,
        peer='pytorch-metric-learning CrossBatchMemory', target=target)


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes; memory and batch are multiples of the labels.

    Every row has the same number of positives then, and the mean over
    positive pairs of the library is our mean over rows.
    """
    if tiny:
        return [cross_batch(8, 32, 6, 4)]
    return [cross_batch(64, 1024, 128, 32, '1000x')]


CASE = Case('C7', 'NT-Xent across batches', setups)
