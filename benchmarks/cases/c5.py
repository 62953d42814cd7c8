"""A step of the released configuration with a bank."""
from typing import List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial, gradient
from benchmarks.equality import Equal
from benchmarks.inputs import label_maps, logit_maps, unit_maps
from benchmarks.peers import contrast
from mmpixsort.banks import ClassQueue
from mmpixsort.functional import gather_pixels
from mmpixsort.losses import PixelContrastLoss
from mmpixsort.samplers import HardAnchorSampler

from .steps import GRADIENT_LIMIT, LOSS_LIMIT, fill_bank, new_generator

TEMPERATURE = BASE = .07  # of that configuration


def released(name: str, num_classes: int, capacity: int, dims: int, size,
             target: str = '') -> Setup:
    """Return a setup of two images, one view, and a pixel and a region queue.
    """

    def build(device: torch.device) -> Trial:
        maps = unit_maps(2, dims, size).to(device).requires_grad_()
        labels = label_maps(2, num_classes, size)
        logits = logit_maps(labels, num_classes).to(device)
        labels = labels.to(device)
        limits = dict(max_samples=1024, max_views=1)
        sampler = HardAnchorSampler(num_classes=num_classes, **limits)
        module = PixelContrastLoss(
            temperature=TEMPERATURE, base_temperature=BASE, loss_weight=1.)
        bank = ClassQueue(num_classes=num_classes, capacity=capacity,
                          embed_dims=dims, num_sections=2).to(device)
        fill_bank(bank)
        pixels, regions = (part.contiguous() for part in bank.read(
        ).keys.split(capacity, 1))

        def ours() -> Tensor:
            maps.grad = None
            anchors = sampler(maps, labels, logits, new_generator(device))
            loss = module(*anchors, [bank.read()])
            loss.backward()
            return loss.detach()

        def choose():
            return contrast.choose_pixels(
                labels.flatten(1), logits.argmax(1).flatten(1), **limits)

        def their_loss(chosen, present) -> Tensor:
            anchors, anchor_labels = contrast.gather(maps, chosen, present)
            keys, key_labels = contrast.joined_bank(pixels, regions)
            return contrast.pair_loss(
                anchors.squeeze(1), anchor_labels, keys, key_labels,
                own=False, temperature=TEMPERATURE, base_temperature=BASE)

        def peer() -> Tensor:
            maps.grad = None
            loss = their_loss(*choose())
            loss.backward()
            return loss.detach()

        def equals() -> List[Equal]:
            chosen, present = choose()
            theirs = their_loss(chosen, present)
            theirs.backward()
            want = gradient(maps)
            pixel = torch.cat([
                pixels + image * size[0] * size[1]
                for (image, _), pixels in zip(present, chosen)])
            loss = module(gather_pixels(maps, pixel), labels.flatten()[pixel],
                          [bank.read()])
            loss.backward()
            _, drawn = sampler.pick(labels, logits)
            count = torch.tensor(len(present), device=device)
            return [
                Equal('loss', loss.detach(), theirs.detach(), LOSS_LIMIT),
                Equal('gradient of the map', gradient(maps), want,
                      GRADIENT_LIMIT),
                Equal('number of anchors', (drawn >= 0).sum(), count, 0.)]

        return Trial(ours, peer, equals)

    return Setup(
        name, f'B 2, {size[0]} x {size[1]}, D {dims}, '
        f'{2 * num_classes} anchors, 2 x {num_classes} x {capacity} keys',
        build, peer='bank copied in every step', target=target)


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [released('tiny', 3, 6, 8, (12, 16))]
    return [released('38 anchors', 19, 5000, 256, (64, 128), '15x')]


CASE = Case(
    'C5', 'a step of the released bank configuration', setups,
    note='The peer keeps class 0 in its bank, which the released code leaves '
    'out by mistake, so that both sides have the same keys.',
    limits='Two matrix products of 38 rows with 190,000 keys, at 38 and 62 '
    'GFLOP/s, take 88 % of our time; a product of few rows is bound by the '
    'memory that it reads. Tried: blocks of 1,024 to 16,384 keys, transposed '
    'operands, and memory that is used again, all within 10 %.')
