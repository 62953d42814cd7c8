"""Draw pixels by image and class, with fixed shapes and no host sync.

Shapes: B images, C classes, H W size, N = B * H * W pixels, G groups, A
anchors, K picks of one image and class, D embedding dims. A pixel index
counts over the batch, (b * H + y) * W + x.

One sort does the work of the loops of the released code: pixels are ordered
by group and, within a group, at random; the first q of a group are then a
uniform draw of q without replacement.
"""
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmpixsort.functional.checks import check_labels

NOISE = 1 << 40  # random low part of a sort key; groups take the high part


class Shuffled(NamedTuple):
    """Pixels ordered by group, at random within a group.

    Attributes:
        order: (N,) pixel index.
        edges: (G + 1,) group g lies in `order[edges[g]:edges[g + 1]]`.
    """

    order: Tensor
    edges: Tensor

    @property
    def counts(self) -> Tensor:
        """(G,) number of pixels of each group."""
        return self.edges[1:] - self.edges[:-1]


def shuffle_groups(groups: Tensor,
                   num_groups: int,
                   generator: Optional[torch.Generator] = None) -> Shuffled:
    """Order pixels by group and at random within each group.

    Args:
        groups: (N,) int64 in [0, num_groups).
        num_groups: G.
        generator: Source of randomness, on the device of `groups`.
    """
    noise = draw_noise(groups, generator)
    key, order = noise.add_(groups, alpha=NOISE).sort()
    bounds = torch.arange(
        0, (num_groups + 1) * NOISE, NOISE, device=groups.device)
    return Shuffled(order, torch.searchsorted(key, bounds))


def draw_noise(groups: Tensor,
               generator: Optional[torch.Generator]) -> Tensor:
    """Return random numbers in [0, NOISE) that decide who comes first."""
    return torch.randint(
        NOISE, groups.shape, generator=generator, device=groups.device)


def class_groups(labels: Tensor, num_classes: int) -> Tensor:
    """Number the pixels by image and class.

    Image b and class c have group b * (C + 2) + c + 1; the first and last
    group of each image take the labels below and above the classes.

    Args:
        labels: (B, H, W) int64.
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
    """Draw anchors, half of them hard, evenly over images and classes.

    Every pair of image and class with `min_pixels` gets the same number of
    anchors, n = min(max_samples // pairs, max_views), as far as it has
    pixels; half of them are hard ones, and where hard or easy pixels are
    few the others fill up (Wang et al., section 3.3, and the released
    code). With more pairs than `max_samples` the last pairs get none.

    Args:
        labels: (B, H, W) int64; outside [0, C) a pixel takes no part.
        hard: (B, H, W) bool, pixels to prefer.
        num_classes: C.
        max_samples: Most anchors of the batch.
        max_views: Most anchors of one image and class.
        min_pixels: Fewest pixels for which a pair is used.
        round_hard_up: Whether the larger half of an odd number is hard; the
            released code rounds down, so that one view is an easy one.
        generator: Source of randomness, on the device of `labels`.

    Returns:
        Pixel index (A,) and label (A,) int64, -1 for an unused row, with
        A = min(max_samples, B C max_views), more than which there cannot be.
        Rows are ordered by image, class, and easy before hard.
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
    """Share the anchors out over images, classes, easy and hard.

    Args:
        counts: (B, C + 2, 2) int64, easy and hard pixels; the first and
            last row of an image stand for ignored labels and get nothing.

    Returns:
        (B, C + 2, 2) int64, anchors to draw, at most `counts`.
    """
    total = counts.sum(2)
    total[:, ::counts.shape[1] - 1].zero_()
    if min_pixels > 1:
        total.masked_fill_(total < min_pixels, 0)
    pairs = total.count_nonzero().clamp_(1, max_samples)
    views = total.clamp(max=(max_samples // pairs).clamp_(max=max_views))
    # the side that is rounded down; the other one gets what is left
    down = 0 if round_hard_up else 1
    side, other = counts[..., down], counts[..., 1 - down]
    quota = torch.clamp(views // 2, min=views - other, max=side)
    quotas = quota, views - quota
    return torch.stack(quotas if round_hard_up else quotas[::-1], 2)


def take_quotas(shuffled: Shuffled, quotas: Tensor,
                num_slots: int) -> Tuple[Tensor, Tensor]:
    """Take the first `quotas` pixels of every group into `num_slots` rows.

    Args:
        shuffled: Pixels ordered by their G groups.
        quotas: (G,) int64, at most the counts; zero for the first and the
            last group, which hold ignored pixels.
        num_slots: Rows of the result; more are cut off.

    Returns:
        Pixel index (num_slots,) and a mask of the rows not in use.
    """
    ends = quotas.cumsum(0)
    slot = torch.arange(num_slots, device=quotas.device)
    unused = slot >= ends[-1]
    # the group before a slot's own; there is one, since the first is empty
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
    """Draw up to K pixels of every class of every image, uniformly.

    Args:
        groups: (N,), see :func:`class_groups`.
        shape: B and C.
        num_samples: K.
        generator: Source of randomness, on the device of `groups`.

    Returns:
        Pixel index (B, C, K) and a mask (B, C, K) of the rows not in use.
    """
    table = shape[0], shape[1] + 2, 1
    shuffled = shuffle_groups(groups, table[0] * table[1], generator)
    pick = torch.arange(num_samples, device=groups.device)
    starts = shuffled.edges[:-1].view(table)[:, 1:-1]
    counts = shuffled.counts.view(table)[:, 1:-1]
    position = (starts + pick).clamp_(max=len(shuffled.order) - 1)
    return shuffled.order[position], pick >= counts


def gather_pixels(feature: Tensor, pixel: Tensor) -> Tensor:
    """Take rows out of a map, once.

    Each separate index into a map makes a zero gradient of the map's size
    in backward, so everything that is needed is taken here at one go.

    Args:
        feature: (B, D, H, W).
        pixel: (A,) pixel index.

    Returns:
        (A, D), differentiable once.
    """
    return _GatherPixels.apply(feature, pixel)


class _GatherPixels(torch.autograd.Function):
    """Index a map; the gradient of an index would sort and copy the map."""

    @staticmethod
    def forward(ctx, feature, pixel):
        """Return the rows (A, D)."""
        _, dims, height, width = feature.shape
        size = height * width
        ctx.order = torch.channels_last
        if feature.is_contiguous(memory_format=torch.channels_last):
            step, start = 1, pixel * dims
        else:  # pixel p of image b has its channel d at (b D + d) H W + p
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
        """Add the rows to a map of zeros."""
        index, = ctx.saved_tensors
        batch, dims, height, width = ctx.shape
        result = grad.new_zeros(batch, height, width, dims).permute(
            0, 3, 1, 2) if ctx.order is torch.channels_last else (
                grad.new_zeros(ctx.shape))
        _as_it_lies(result).scatter_add_(0, index.flatten(), grad.flatten())
        return result, None


def _as_it_lies(feature: Tensor) -> Tensor:
    """View a dense map as one row of numbers."""
    return feature.as_strided((feature.numel(), ), (1, ))
