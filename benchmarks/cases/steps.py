"""Steps that several cases share.

Shapes: B images, C classes, H W size of the map, D embedding dims.
"""
from typing import List, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from benchmarks.case import Setup, Trial, gradient
from benchmarks.equality import Equal
from benchmarks.inputs import (label_maps, logit_maps, unit_maps,
                               unit_rows)
from benchmarks.peers import contrast
from mmpixsort.banks import ClassQueue
from mmpixsort.functional import gather_pixels
from mmpixsort.losses import PixelContrastLoss
from mmpixsort.samplers import HardAnchorSampler

TEMPERATURE, BASE = .1, .07
# gradients are sums of a thousand float32 terms in another order
LOSS_LIMIT, GRADIENT_LIMIT = 1e-5, 1e-4


class ContrastStep(NamedTuple):
    """Sizes of a step of pixel contrast within a batch.

    Attributes:
        batch: B.
        dims: D.
        size: H and W.
        num_classes: C, all of them in every image.
        max_samples: Most anchors of the batch.
        max_views: Most anchors of an image and class.
    """

    batch: int
    dims: int
    size: Sequence[int]
    num_classes: int = 19
    max_samples: int = 1024
    max_views: int = 100

    def setup(self, name: str, target: str = '') -> Setup:
        """Return the setup of these sizes."""
        height, width = self.size
        return Setup(
            name, f'B {self.batch}, {height} x {width}, D {self.dims}, '
            f'{self.num_classes} classes, {self.max_samples} anchors',
            self.trial, peer='loops over images and classes', target=target)

    def trial(self, device: torch.device) -> Trial:
        """Return both sides: sampling, gather, loss, gradient of the map."""
        maps = unit_maps(self.batch, self.dims, self.size).to(device)
        maps.requires_grad_()
        labels = label_maps(self.batch, self.num_classes, self.size)
        logits = logit_maps(labels, self.num_classes).to(device)
        labels = labels.to(device)
        limits = dict(max_samples=self.max_samples, max_views=self.max_views)
        sampler = HardAnchorSampler(
            num_classes=self.num_classes, faithful=True, **limits)
        module = PixelContrastLoss(
            temperature=TEMPERATURE, base_temperature=BASE, loss_weight=1.)

        def own_loss(anchors: Tensor, anchor_labels: Tensor) -> Tensor:
            return module(anchors, anchor_labels, anchors, anchor_labels,
                          own_key=0)

        def ours() -> Tensor:
            maps.grad = None
            anchors = sampler(maps, labels, logits, new_generator(device))
            loss = own_loss(*anchors)
            loss.backward()
            return loss.detach()

        def choose():
            return contrast.choose_pixels(
                labels.flatten(1), logits.argmax(1).flatten(1), **limits)

        def their_loss(chosen, present) -> Tensor:
            return contrast.batch_loss(
                *contrast.gather(maps, chosen, present),
                temperature=TEMPERATURE, base_temperature=BASE)

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
            # the same pixels for us; the draws are random on either side
            pixel = torch.cat([
                pixels + image * self.size[0] * self.size[1]
                for (image, _), pixels in zip(present, chosen)])
            loss = own_loss(
                gather_pixels(maps, pixel), labels.flatten()[pixel])
            loss.backward()
            _, drawn = sampler.pick(labels, logits)
            drawn = drawn[drawn >= 0]
            return [
                Equal('loss', loss.detach(), theirs.detach(), LOSS_LIMIT),
                Equal('gradient of the map', gradient(maps), want,
                      GRADIENT_LIMIT),
                Equal('anchors drawn of each class',
                      drawn.bincount(minlength=self.num_classes),
                      labels.flatten()[pixel].bincount(
                          minlength=self.num_classes), 0.)]

        return Trial(ours, peer, equals)


def new_generator(device: torch.device) -> Optional[torch.Generator]:
    """Return a generator of one seed; the meta device has none."""
    if device.type == 'meta':
        return None
    return torch.Generator(device).manual_seed(0)


def fill_bank(bank: ClassQueue) -> None:
    """Fill every ring of a bank with unit rows.

    A class at a time: to place all rows at once takes a large table.
    """
    count = bank.num_sections * bank.capacity
    device = bank.keys.device
    for label in range(bank.num_classes):
        rows = unit_rows(count, bank.embed_dims, seed=label).to(device)
        bank.enqueue(rows, torch.full((count, ), label, device=device),
                     (bank.capacity, ) * bank.num_sections)
