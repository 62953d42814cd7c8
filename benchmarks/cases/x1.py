"""Calls and synchronisations of the steps of every method, without a clock.

On the CPU, and on tensors of the meta device, where tiles are those of a GPU:
what a step asks of a device does not depend on the load of the machine.
"""
from functools import partial
from typing import Callable, List, NamedTuple, Tuple

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import (label_maps, logit_maps, unit_maps, unit_rows)
from mmpixsort.banks import ClassQueue
from mmpixsort.functional import nearest_keys, pixels_and_regions
from mmpixsort.losses import (ImageSentenceLoss, NounRegionLoss,
                              PixelContrastLoss)
from mmpixsort.samplers import HardAnchorSampler, KeyMiner
from mmpixsort.structures import KeyBlock

from .c4 import against_bank
from .c6 import enqueue
from .d1 import by_rows, instances
from .k1 import clustering
from .l1 import sorting
from .steps import ContrastStep, fill_bank, new_generator

NUM_PIXELS = 10


class Sizes(NamedTuple):
    """Sizes of the steps that have no peer.

    Attributes:
        size: H and W of the map.
        dims: D.
        num_classes: C.
        capacity: Slots of a ring of the bank.
        mined_capacity: The same for a bank whose keys are mined.
        anchors: Anchors of a mined loss.
        keys: Keys of a retrieval.
        images: Images of a batch of captions.
    """

    size: Tuple[int, int] = (64, 128)
    dims: int = 256
    num_classes: int = 19
    capacity: int = 5000
    mined_capacity: int = 1000
    anchors: int = 1024
    keys: int = 1_000_000
    images: int = 64


TINY = Sizes((12, 16), 8, 3, 20, 20, 12, 300, 4)


def with_meta(setup: Setup, name: str, target: str = '') -> Setup:
    """Return a setup of another case whose calls are counted on meta too."""

    def build(device: torch.device) -> Trial:
        meta = setup.build(torch.device('meta'))
        return setup.build(device)._replace(meta=meta.ours)

    return setup._replace(name=name, build=build, target=target, scale=None)


def alone(name: str, sizes: str, make: Callable[[torch.device], Callable],
          target: str = '') -> Setup:
    """Return a setup of a step without a peer, run twice for equality.

    Args:
        name: Name of the setup.
        sizes: The sizes, for a reader.
        make: Makes the inputs on a device and returns the step, which
            returns a tensor.
        target: Target of the calls on the meta device.
    """

    def build(device: torch.device) -> Trial:
        step = make(device)
        return Trial(step, None, lambda: [
            # from new inputs, as a step changes a bank
            Equal('two runs', make(device)(), make(device)(), 1e-6)],
            meta=make(torch.device('meta')))

    return Setup(name, sizes, build, target=target)


def _step_with_bank(sizes: Sizes) -> Callable:
    """Return what makes a step: sampling, loss, gradient, and the bank."""

    def make(device: torch.device) -> Callable[[], Tensor]:
        maps = unit_maps(2, sizes.dims, sizes.size).to(device)
        maps.requires_grad_()
        labels = label_maps(2, sizes.num_classes, sizes.size)
        logits = logit_maps(labels, sizes.num_classes).to(device)
        labels = labels.to(device)
        sampler = HardAnchorSampler(num_classes=sizes.num_classes)
        loss_module = PixelContrastLoss()
        queue = _full_bank(sizes, sizes.capacity, device)

        def step() -> Tensor:
            maps.grad = None
            anchors = sampler(maps, labels, logits, new_generator(device))
            blocks = [KeyBlock(*anchors), queue.read()]
            loss = loss_module(*anchors, blocks, own_key=0)
            loss.backward()
            queue.enqueue(*pixels_and_regions(
                maps.detach(), labels, num_classes=sizes.num_classes,
                num_pixels=NUM_PIXELS, generator=new_generator(device)))
            return loss.detach()

        return step

    return make


def _full_bank(sizes: Sizes, capacity: int,
               device: torch.device) -> ClassQueue:
    queue = ClassQueue(
        num_classes=sizes.num_classes, capacity=capacity,
        embed_dims=sizes.dims, num_sections=2).to(device)
    fill_bank(queue)
    return queue


def _mined(sizes: Sizes, strategy: str) -> Callable:
    """Return what makes a loss against mined keys of batch and bank."""

    def make(device: torch.device) -> Callable[[], Tensor]:
        rows = unit_rows(sizes.anchors, sizes.dims).to(device)
        rows.requires_grad_()
        labels = (torch.arange(sizes.anchors) % sizes.num_classes).to(device)
        queue = _full_bank(sizes, sizes.mined_capacity, device)
        module, select = PixelContrastLoss(), KeyMiner(strategy=strategy)

        def step() -> Tensor:
            rows.grad = None
            blocks = [KeyBlock(rows, labels), queue.read()]
            miner = partial(select, generator=new_generator(device))
            loss = module(rows, labels, blocks, own_key=0, miner=miner)
            loss.backward()
            return loss.detach()

        return step

    return make


def _nearest(sizes: Sizes) -> Callable:

    def make(device: torch.device) -> Callable[[], Tensor]:
        keys = unit_rows(sizes.keys, 32).to(device)
        queries = unit_rows(144, 32, seed=1).to(device)
        return lambda: nearest_keys(queries, keys, num_neighbors=21)[0]

    return make


def _nouns(sizes: Sizes) -> Callable:

    def make(device: torch.device) -> Callable[[], Tensor]:
        count = 2 * sizes.images
        nouns = unit_rows(count, sizes.dims).to(device).requires_grad_()
        images = (torch.arange(count) // 2).to(device)
        regions = unit_rows(16 * sizes.images, sizes.dims, seed=1)
        regions = regions.view(sizes.images, 16, -1).to(device)
        valid = torch.ones(sizes.images, 16, dtype=torch.bool, device=device)
        module = NounRegionLoss()

        def step() -> Tensor:
            nouns.grad = None
            loss = module(nouns, images, regions, valid, scale=20.)['loss_n2r']
            loss.backward()
            return loss.detach()

        return step

    return make


def _sentences(sizes: Sizes) -> Callable:

    def make(device: torch.device) -> Callable[[], Tensor]:
        images, sentences = (
            unit_rows(sizes.images, sizes.dims, seed).to(device)
            for seed in (0, 1))
        images.requires_grad_()
        module = ImageSentenceLoss()

        def step() -> Tensor:
            images.grad = None
            loss = module(images, sentences, scale=20.)
            loss.backward()
            return loss.detach()

        return step

    return make


def setups(tiny: bool) -> List[Setup]:
    """Return the steps of every method."""
    sizes = TINY if tiny else Sizes()
    height, width = sizes.size
    dims, classes = sizes.dims, sizes.num_classes
    text = f'B 2, {height} x {width}, D {dims}, {classes} classes'
    full = f'{text}, bank of 2 x {classes} x {sizes.capacity}'
    mined = (f'A {sizes.anchors}, D {dims}, bank of 2 x {classes} x '
             f'{sizes.mined_capacity}')
    pixels, segments = (60, 12) if tiny else (65536, 1000)
    few = (24, 5) if tiny else ()
    counted = [
        with_meta(ContrastStep(2, dims, sizes.size, classes, *few).setup(''),
                  'contrast within the batch', '80 calls, 0 syncs'),
        with_meta(against_bank('', 12 if tiny else 1024, dims, classes,
                               sizes.capacity), 'contrast with the bank',
                  '90 calls, 0 syncs'),
        with_meta(enqueue(2, dims, sizes.size, classes, sizes.capacity),
                  'filling the bank', '40 calls, 0 syncs'),
        with_meta(sorting('', pixels, segments, with_prototypes=True),
                  'segment sorting', '90 calls, 0 syncs'),
        with_meta(clustering(4, 8, 16, 3) if tiny else
                  clustering(4, 64, 128, 6), 'k-means'),
        with_meta(instances(4, 5, by_rows, size=(16, 24)) if tiny else
                  instances(16, 100, by_rows), 'discriminative loss',
                  '90 calls, 0 syncs')
    ]
    return counted + [
        alone('whole step with a bank', full,
              _step_with_bank(sizes), '170 calls, 0 syncs'),
        alone('contrast with the hardest keys', mined,
              _mined(sizes, 'hardest'), '90 calls, 0 syncs'),
        alone('contrast with semi-hard keys', mined,
              _mined(sizes, 'semi_hard'), '90 calls, 0 syncs'),
        alone('nearest keys', f'{sizes.keys:,} keys, D 32, 144 queries',
              _nearest(sizes), '40 calls, 0 syncs'),
        alone('nouns and regions', f'B {sizes.images}, 16 regions, D {dims}',
              _nouns(sizes)),
        alone('images and sentences', f'B {sizes.images}, D {dims}',
              _sentences(sizes))
    ]


CASE = Case(
    'X1', 'calls and host synchronisations of a step', setups, timed=False,
    pages=('default', ),
    note='Aten calls without views. On the meta device tiles are as large as '
    'on a GPU, whose calls they are. Steps without a peer run twice; their '
    'results must agree.')
