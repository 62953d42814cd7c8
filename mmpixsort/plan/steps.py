"""Steps of the losses as their heads take them, for a dry run or a clock.

Shapes: A anchors, P prototypes of a batch, C classes, M slots, D embedding
dims.
"""
from typing import Callable

import torch

from mmpixsort.banks import ClassQueue, PrototypeQueue
from mmpixsort.losses import PixelContrastLoss, SegSortLoss
from mmpixsort.structures import KeyBlock


def contrast_step(*, num_classes: int, capacity: int, embed_dims: int,
                  num_anchors: int, num_sections: int = 2,
                  dtype: str = 'float32', with_batch: bool = True,
                  num_gathered: int = 0,
                  fill: bool = False) -> Callable[[], object]:
    """Return a step of pixel contrast against a class queue.

    The keys are those of the bank and, in a batch, the anchors themselves.

    Args:
        num_classes: C.
        capacity: M; 0: there is no bank.
        embed_dims: D.
        num_anchors: A.
        num_sections: Sections of a class of the queue.
        dtype: Type of the queue.
        with_batch: Whether the anchors are keys too.
        num_gathered: Number of anchors of other ranks that are keys too.
        fill: Whether the queue is full of random unit rows, which a
            measurement needs; a dry run has no values.
    """
    anchors = _rows(num_anchors, embed_dims, fill).requires_grad_()
    labels = torch.arange(num_anchors) % num_classes
    bank = None
    if capacity:
        bank = ClassQueue(
            num_classes=num_classes, capacity=capacity,
            embed_dims=embed_dims, num_sections=num_sections, dtype=dtype)
        if fill:
            bank.keys[1:] = _rows(len(bank.keys) - 1, embed_dims, fill)
            bank.written += capacity
    others = KeyBlock(_rows(num_gathered, embed_dims, fill),
                      torch.arange(num_gathered) % num_classes)
    module = PixelContrastLoss()

    def step() -> None:
        anchors.grad = None
        blocks = [KeyBlock(anchors, labels)] if with_batch else []
        if num_gathered:
            blocks.append(others)
        if bank is not None:
            blocks.append(bank.read())
        module(anchors, labels, blocks,
               own_key=0 if with_batch else None).backward()

    return step


def sorting_step(*, num_segments: int, capacity: int, embed_dims: int,
                 num_anchors: int, num_classes: int = 20,
                 fill: bool = False) -> Callable[[], object]:
    """Return a step of segment sorting with a queue of past prototypes.

    Pixels and prototypes of the batch have a gradient.

    Args:
        num_segments: P, room for the segments of the batch on all ranks.
        capacity: M; 0: there is no bank.
        embed_dims: D.
        num_anchors: A, pixels.
        num_classes: C.
        fill: Whether the queue is full of random unit rows.
    """
    anchors = _rows(num_anchors, embed_dims, fill).requires_grad_()
    means = _rows(num_segments, embed_dims, fill).requires_grad_()
    own_key = torch.arange(num_anchors) % num_segments
    labels = torch.arange(num_segments) % num_classes
    bank = None
    if capacity:
        bank = PrototypeQueue(capacity=capacity, embed_dims=embed_dims)
        if fill:
            bank.enqueue(_rows(capacity, embed_dims, fill),
                         torch.arange(capacity) % num_classes)
    module = SegSortLoss()

    def step() -> None:
        anchors.grad = means.grad = None
        blocks = [KeyBlock(means, labels)]
        if bank is not None:
            blocks.append(bank.read())
        module(anchors, labels[own_key], blocks, own_key=own_key).backward()

    return step


def _rows(count: int, dims: int, fill: bool) -> torch.Tensor:
    """Return rows of unit length (N, D), or zeros."""
    if not fill:
        return torch.zeros(count, dims)
    rows = torch.randn(
        count, dims, generator=torch.Generator().manual_seed(count))
    return rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True))
