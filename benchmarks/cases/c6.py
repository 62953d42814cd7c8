"""Filling the bank: ten pixels and the region of every class and image."""
from typing import List

import torch
from torch import Tensor

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal
from benchmarks.inputs import label_maps, unit_maps
from benchmarks.peers.contrast import Queues
from mmpixsort.banks import ClassQueue
from mmpixsort.functional import pixels_and_regions

from .steps import new_generator

NUM_PIXELS = 10
LIMIT = 1e-5


def enqueue(batch: int, dims: int, size, num_classes: int, capacity: int,
            target: str = '') -> Setup:
    """Return a setup of a batch that enters both queues."""

    def build(device: torch.device) -> Trial:
        maps = unit_maps(batch, dims, size).to(device)
        labels = label_maps(batch, num_classes, size).to(device)
        bank = ClassQueue(num_classes=num_classes, capacity=capacity,
                          embed_dims=dims, num_sections=2).to(device)
        queues = Queues(num_classes, capacity, dims, NUM_PIXELS, device)

        def ours() -> None:
            bank.enqueue(*pixels_and_regions(
                maps, labels, num_classes=num_classes,
                num_pixels=NUM_PIXELS,
                generator=new_generator(device)))

        def peer() -> None:
            queues.enqueue(maps, labels)

        def equals() -> List[Equal]:
            return _equals(maps, labels, num_classes)

        return Trial(ours, peer, equals)

    return Setup(
        f'batch {batch}', f'B {batch}, {size[0]} x {size[1]}, D {dims}, '
        f'{num_classes} classes, queues of {capacity}', build,
        peer='loops over images and classes', target=target)


def _equals(maps: Tensor, labels: Tensor, num_classes: int) -> List[Equal]:
    """Compare the queues after a batch.

    Pixels are drawn at random by either side: all but ten of each class and
    image are ignored here, so that there is nothing to draw.
    """
    dims, capacity = maps.shape[1], 2 * len(maps) * NUM_PIXELS
    few = torch.full_like(labels, -1)
    for image in range(len(maps)):
        for label in range(num_classes):
            index = (labels[image] == label).flatten().nonzero().flatten()
            few[image].view(-1)[index[:NUM_PIXELS]] = label
    bank = ClassQueue(num_classes=num_classes, capacity=capacity,
                      embed_dims=dims, num_sections=2).to(maps.device)
    queues = Queues(num_classes, capacity, dims, NUM_PIXELS, maps.device)
    bank.enqueue(*pixels_and_regions(
        maps, few, num_classes=num_classes, num_pixels=NUM_PIXELS))
    queues.enqueue(maps, few)
    keys = bank.read().keys.unflatten(1, (2, capacity))
    order = keys[:, 0, :, 0].argsort(dim=1, stable=True)
    want = queues.pixels[..., 0].argsort(dim=1, stable=True)
    written = bank.written.view(num_classes, 2)
    places = torch.stack([queues.pixel_place, queues.region_place], 1)

    def sorted_rows(rows: Tensor, index: Tensor) -> Tensor:
        return rows.gather(1, index[..., None].expand_as(rows))

    return [
        Equal('region queue', keys[:, 1], queues.regions, LIMIT),
        Equal('pixel queue, whatever the order',
              sorted_rows(keys[:, 0], order),
              sorted_rows(queues.pixels, want), LIMIT),
        Equal('rows written', written, places, 0.)]


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [enqueue(2, 8, (12, 16), 3, 40)]
    return [enqueue(2, 256, (64, 128), 19, 5000, '15x'),
            enqueue(8, 256, (64, 128), 19, 5000, '15x')]


CASE = Case('C6', 'filling the pixel and region queues', setups,
            note='The peer writes the right pixels and moves its pointer by '
            'as many as it writes; the released code does neither.',
            limits='The means of the regions, a product of the one-hot '
            'labels with the map, take half of our time, and the gather of '
            'the drawn pixels a fifth. Tried: the product in three other '
            'orders (1.0 to 1.5 times as long), 32 columns in place of 19 '
            '(1.2 times). Not in use: one-hot labels made by a scatter, which '
            'would save 1 to 4 of 24 ms with a batch of 8.')
