"""What the loss adds to a training step, beyond the projection."""
import copy
from typing import List

import torch
from torch import Tensor, nn

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal

from . import hosts
from .steps import fill_bank

HOST_LOSS = 'decode.loss_ce'


def training(name: str, count: int, size, *, capacity: int = None,
             num_classes: int = 19, embed_dims: int = 256,
             base_channels: int = 64, target: str = '') -> Setup:
    """Return a setup of a step, forward and backward, of a segmentor.

    Args:
        name: Name of the setup.
        count: B.
        size: H and W of the images.
        capacity: Slots of the bank, all of them filled; None: no bank.
        num_classes: C, all of them in every image.
        embed_dims: D.
        base_channels: Channels of the first stage of ResNet-18.
        target: Target of the share.
    """

    def build(device: torch.device) -> Trial:
        attached = hosts.build(hosts.config(
            num_classes, embed_dims, capacity, base_channels))
        attached.to(device).train()
        if capacity is not None:
            fill_bank(attached.metric_head.bank)
        projecting = _only_projecting(copy.deepcopy(attached))
        images, samples = hosts.batch(count, size, num_classes, device)

        def step(model: nn.Module) -> Tensor:
            model.zero_grad()
            losses = model.loss(images, samples)
            model.parse_losses(losses)[0].backward()
            return losses[HOST_LOSS].detach()

        return Trial(
            lambda: step(attached), lambda: step(projecting), lambda: [
                Equal('loss of the host', step(attached), step(projecting),
                      0.)])

    bank = '' if capacity is None else (
        f', bank of 2 x {num_classes} x {capacity}')
    return Setup(
        name, f'ResNet-18 of stride 8, B {count}, {size[0]} x {size[1]}, D '
        f'{embed_dims}{bank}', build, peer='the step with a projection alone',
        target=target)


def _only_projecting(model: nn.Module) -> nn.Module:
    """Make the metric head project, with a backward pass, and no more."""
    head = model.metric_head

    def loss(inputs, batch_data_samples, train_cfg=None, *, logits=None,
             decoder_feature=None) -> dict:
        embeddings = head.projection(head.feature(inputs, decoder_feature))
        return dict(loss_projection=embeddings.mean())

    head.loss = loss
    return model


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        small = dict(num_classes=3, embed_dims=8, base_channels=8)
        return [training('tiny', 2, (32, 64), capacity=6, **small)]
    # the bank of the shipped config for a CPU (street scenes), and that of
    # the paper
    return [training('batch', 4, (128, 256), target='3 %'),
            training('batch and small bank', 4, (128, 256), capacity=500,
                     num_classes=11, embed_dims=64, target='3 %'),
            training('batch and bank of the paper', 4, (128, 256),
                     capacity=5000)]


CASE = Case(
    'T1', 'share of a training step', setups, as_share=True,
    note='The peer is the same step with the projection and without loss, '
    'sampling and bank: the share is what these take of the step. The two '
    'matrix products of 1024 anchors with the 190,000 keys of the paper are '
    '200 GFLOP, 1.2 times those of the whole ResNet-18 step: such a bank is '
    'for GPUs, or for few anchors (C5).',
    limits='Two products take 56 % of the loss against the small bank, and '
    'the exponentials a tenth. Tried: tiles of 16 to 512 rows, of which the '
    '256 in use are the fastest, and memory that is used again (no gain).')
