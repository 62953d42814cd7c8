"""Random sampling of pixels by image and class.

Shapes: B images, C classes, H W size, N = B * H * W pixels, G groups, A
anchors, K samples of one image and class, D embedding dims. The index of a
pixel counts over the batch: (b * H + y) * W + x.

All results have fixed shapes, so the host need not wait for the device. One
sort replaces the loops of the authors' released code: it orders pixels by
group and at random within a group, so that the first q pixels of a group are
a uniform draw without replacement.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmpixsort.functional.checks import check_labels

# A sort key is group * NOISE + random number below NOISE.
NOISE = 1 << 40


class Shuffled(NamedTuple):
    """Pixels in the order of their groups and in random order within a group.

    Attributes:
        order: (N,) indices of the pixels.
        edges: (G + 1,) borders of the groups: `order[edges[g]:edges[g + 1]]`
            are the pixels of group g.
    """

    order: Tensor
    edges: Tensor

    @property
    def counts(self) -> Tensor:
        """Number of pixels (G,) of each group."""
        return self.edges[1:] - self.edges[:-1]


def shuffle_groups(groups: Tensor,
                   num_groups: int,
                   generator: Optional[torch.Generator] = None) -> Shuffled:
    """Order pixels by group and at random within each group.

    Args:
        groups: (N,) int64 group of each pixel in [0, G).
        num_groups: G.
        generator: Generator of the random draws, on the device of `groups`.
    """
    noise = draw_noise(groups, generator)
    key, order = noise.add_(groups, alpha=NOISE).sort()
    bounds = torch.arange(
        0, (num_groups + 1) * NOISE, NOISE, device=groups.device)
    return Shuffled(order, torch.searchsorted(key, bounds))


def draw_noise(groups: Tensor,
               generator: Optional[torch.Generator]) -> Tensor:
    """Return random integers in [0, NOISE) that order pixels in a group."""
    return torch.randint(
        NOISE, groups.shape, generator=generator, device=groups.device)


def class_groups(labels: Tensor, num_classes: int) -> Tensor:
    """Return the group of each pixel: one group per image and class.

    Class c of image b is group b * (C + 2) + c + 1. The first and the last
    group of an image hold the pixels with a label below 0 and of C or more.

    Args:
        labels: (B, H, W) integer labels.
        num_classes: C.

    Returns:
        (B, H, W) int64 in [0, B * (C + 2)).
    """
    labels = check_labels('labels', labels, labels.shape)
    stride = num_classes + 2
    first = torch.arange(
        1, len(labels) * stride, stride, device=labels.device)
    return labels.clamp(-1, num_classes).add_(first[:, None, None])


def sample_anchors(
        labels: Tensor,
        hard: Tensor,
        *,
        num_classes: int,
        max_samples: int,
        max_views: int,
        min_pixels: int = 1,
        round_hard_up: bool = True,
        generator: Optional[torch.Generator] = None) -> Tuple[Tensor, Tensor]:
    """Draw anchors evenly over images and classes, half of them hard.

    Every pair of an image and a class with at least `min_pixels` pixels gets
    n = min(max_samples // number of pairs, max_views) anchors, or all its
    pixels if it has fewer. Half of the anchors are hard pixels; if there are
    too few hard or easy pixels, more of the other kind are drawn (Wang et
    al., https://arxiv.org/abs/2101.11939, section 3.3, and the authors'
    released code). If there are more pairs than `max_samples`, each of the
    first ones gets one anchor and the others get none.

    Args:
        labels: (B, H, W) integer labels; pixels with a label outside [0, C)
            are ignored.
        hard: (B, H, W) bool mask of the hard pixels.
        num_classes: C.
        max_samples: Maximum number of anchors of the batch.
        max_views: Maximum number of anchors of one class of an image.
        min_pixels: Minimum number of pixels of a class of an image; smaller
            ones get no anchors.
        round_hard_up: Whether the number of hard anchors is rounded up if n
            is odd. The authors' released code rounds it down, so that a
            single anchor is an easy pixel.
        generator: Generator of the random draws, on the device of `labels`.

    Returns:
        Pixel index (A,) and label (A,) int64 of every anchor, label -1 for
        unused rows, where A = min(max_samples, B * C * max_views) is the
        largest possible number. Anchors are ordered by image and class, easy
        ones before hard ones.
    """
    labels = check_labels('labels', labels, hard.shape)
    stride = num_classes + 2
    pair = class_groups(labels, num_classes)
    group = torch.add(hard, pair, alpha=2).flatten()
    shuffled = shuffle_groups(group, 2 * len(labels) * stride, generator)
    quotas = anchor_quotas(
        shuffled.counts.view(len(labels), stride, 2),
        max_samples=max_samples,
        max_views=max_views,
        min_pixels=min_pixels,
        round_hard_up=round_hard_up)
    pixel, unused = take_quotas(
        shuffled, quotas.flatten(),
        min(max_samples, len(labels) * num_classes * max_views))
    return pixel, labels.flatten()[pixel].masked_fill_(unused, -1)


def anchor_quotas(counts: Tensor, *, max_samples: int, max_views: int,
                  min_pixels: int, round_hard_up: bool) -> Tensor:
    """Return the number of easy and hard anchors of every image and class.

    The other arguments are those of :func:`sample_anchors`.

    Args:
        counts: (B, C + 2, 2) int64 numbers of easy and of hard pixels. The
            first and the last row of an image are for ignored labels.

    Returns:
        (B, C + 2, 2) int64 numbers of anchors, at most `counts`; zero in the
        first and the last row.
    """
    total = counts.sum(2)
    total[:, ::counts.shape[1] - 1].zero_()
    if min_pixels > 1:
        total.masked_fill_(total < min_pixels, 0)
    pairs = total.count_nonzero().clamp_(1, max_samples)
    views = total.clamp(max=(max_samples // pairs).clamp_(max=max_views))
    # index of the kind, easy or hard, whose half is rounded down; the other
    # kind gets the remaining anchors
    down = 0 if round_hard_up else 1
    side, other = counts[..., down], counts[..., 1 - down]
    quota = torch.clamp(views // 2, min=views - other, max=side)
    quotas = quota, views - quota
    return torch.stack(quotas if round_hard_up else quotas[::-1], 2)


def take_quotas(shuffled: Shuffled, quotas: Tensor,
                num_slots: int) -> Tuple[Tensor, Tensor]:
    """Take the first `quotas[g]` pixels of every group g, one after another.

    Args:
        shuffled: Pixels ordered by their G groups.
        quotas: (G,) int64 number of pixels to take, at most the size of the
            group; zero for the first and the last group, which hold ignored
            pixels.
        num_slots: Number of rows of the result. Further pixels are dropped.

    Returns:
        Pixel index (num_slots,) and a mask (num_slots,) of unused rows.
    """
    ends = quotas.cumsum(0)
    slot = torch.arange(num_slots, device=quotas.device)
    unused = slot >= ends[-1]
    # index of the group before that of a slot; it exists, because the first
    # group has no slots
    before = torch.searchsorted(ends[1:-1], slot, right=True)
    skipped = shuffled.edges[1:] - ends
    position = slot.add_(skipped[before]).clamp_(max=len(shuffled.order) - 1)
    return shuffled.order[position], unused


def sample_groups(
        groups: Tensor,
        shape: Tuple[int, int],
        num_samples: int,
        generator: Optional[torch.Generator] = None
) -> Tuple[Tensor, Tensor]:
    """Draw up to K pixels of every class of every image uniformly.

    Args:
        groups: (N,) int64 group of each pixel, from :func:`class_groups`.
        shape: B and C.
        num_samples: K.
        generator: Generator of the random draws, on the device of `groups`.

    Returns:
        Pixel index (B, C, K) and a mask (B, C, K) of unused entries.
    """
    table = shape[0], shape[1] + 2, 1
    shuffled = shuffle_groups(groups, table[0] * table[1], generator)
    pick = torch.arange(num_samples, device=groups.device)
    starts = shuffled.edges[:-1].view(table)[:, 1:-1]
    counts = shuffled.counts.view(table)[:, 1:-1]
    position = (starts + pick).clamp_(max=len(shuffled.order) - 1)
    return shuffled.order[position], pick >= counts


def gather_pixels(feature: Tensor, pixel: Tensor) -> Tensor:
    """Return the features of selected pixels of a map.

    Gather all pixels in one call: in backward, each call allocates a
    gradient of the size of the map.

    Args:
        feature: (B, D, H, W) floating tensor.
        pixel: (A,) int64 index of the pixels, counted over the batch.

    Returns:
        (A, D) features, which can be differentiated once.
    """
    return _GatherPixels.apply(feature, pixel)


class _GatherPixels(torch.autograd.Function):
    """Gather pixels of a map with a gradient that neither sorts nor copies.

    The gradient of ordinary indexing sorts the indices and copies the map.
    """

    @staticmethod
    def forward(ctx, feature, pixel):
        """Return the rows (A, D)."""
        _, dims, height, width = feature.shape
        size = height * width
        ctx.order = torch.channels_last
        if feature.is_contiguous(memory_format=torch.channels_last):
            step, start = 1, pixel * dims
        else:  # channel d of pixel p of image b lies at (b D + d) H W + p
            ctx.order = torch.contiguous_format
            feature = feature.contiguous()
            step, start = size, pixel.add(
                pixel // size, alpha=(dims - 1) * size)
        channel = torch.arange(0, dims * step, step, device=pixel.device)
        index = start[:, None] + channel
        ctx.shape = feature.shape
        ctx.save_for_backward(index)
        return _as_it_lies(feature)[index]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """Add the gradients of the rows to a map of zeros."""
        index, = ctx.saved_tensors
        batch, dims, height, width = ctx.shape
        result = grad.new_zeros(batch, height, width, dims).permute(
            0, 3, 1, 2) if ctx.order is torch.channels_last else (
                grad.new_zeros(ctx.shape))
        _as_it_lies(result).scatter_add_(0, index.flatten(), grad.flatten())
        return result, None


def _as_it_lies(feature: Tensor) -> Tensor:
    """View a dense map as a flat tensor in its memory order."""
    return feature.as_strided((feature.numel(), ), (1, ))
