"""Random sampling of pixels by image and class.

Shapes: B images, C classes, H W size, N = B * H * W pixels, G groups of the
pixels of an image, A anchors, K samples of one image and class, D embedding
dims. The index of a pixel counts over the batch: (b * H + y) * W + x.

All results have fixed shapes, so the host need not wait for the device. One
sort replaces the loops of the authors' released code: it orders pixels by
group and at random within a group, so that the first q pixels of a group are
a uniform draw without replacement.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmpixsort.functional.checks import check_labels

# A sort key is group * NOISE + random number below NOISE.
NOISE = 1 << 40


def draw_noise(labels: Tensor,
               generator: Optional[torch.Generator]) -> Tensor:
    """Return random integers (B, H, W) in [0, NOISE), one of each pixel."""
    return torch.randint(
        NOISE, labels.shape, generator=generator, device=labels.device)


def sort_pixels(keys: Tensor, *, num_groups: int,
                lowest: int) -> Tuple[Tensor, Tensor]:
    """Sort the pixels of a batch by image, and those of an image by key.

    Args:
        keys: (B, H, W) int64 sort key of each pixel, changed in place. Group
            g has the keys from g * NOISE to (g + 1) * NOISE - 1.
        num_groups: G.
        lowest: Number of the first group, 0 or less; the groups of an image
            are lowest, ..., lowest + G - 1.

    Returns:
        Index (N,) of the pixels in their order; and the position (B * G + 1,)
        in this order at which each group of each image begins, followed by
        N.
    """
    bounds = torch.arange(
        0, (len(keys) * num_groups + 1) * NOISE, NOISE, device=keys.device)
    # the bound at the beginning of group 0 separates the images
    keys.add_(bounds[-lowest:-1:num_groups, None, None])
    ordered, order = keys.flatten().sort()
    return order, torch.searchsorted(ordered, bounds)


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
    noise = draw_noise(labels, generator)
    # hard pixels lie above the middle of their class and easy ones below it,
    # so that anchors, which have the least noise, are next to each other
    keys = torch.where(hard, noise, ~noise).add_(
        labels.clamp(-1, num_classes), alpha=2 * NOISE)
    order, edges = sort_pixels(
        keys, num_groups=2 * (num_classes + 2), lowest=-3)
    # the first and the last class of an image are ignored pixels
    edges = edges[:-1].view(len(labels), num_classes + 2, 2)
    starts, middles = edges[:, 1:-1].unbind(2)
    counts, ends = anchor_ranges(
        starts,
        middles,
        edges[:, 2:, 0],
        max_samples=max_samples,
        max_views=max_views,
        min_pixels=min_pixels,
        round_hard_up=round_hard_up)
    position, unused = join_ranges(
        counts.flatten(), ends.flatten(),
        min(max_samples, len(labels) * num_classes * max_views))
    pixel = order[position.clamp_(max=len(order) - 1)]
    return pixel, labels.flatten()[pixel].masked_fill_(unused, -1)


def anchor_ranges(starts: Tensor, middles: Tensor, ends: Tensor, *,
                  max_samples: int, max_views: int, min_pixels: int,
                  round_hard_up: bool) -> Tuple[Tensor, Tensor]:
    """Return the range of anchors of every image and class.

    The pixels of an image and class are at the positions from `starts` to
    `ends`, easy ones before `middles` and hard ones from there on. The other
    arguments are those of :func:`sample_anchors`.

    Args:
        starts: (B, C) int64 first position of each image and class.
        middles: (B, C) int64 position of its first hard pixel.
        ends: (B, C) int64 position after its last pixel.

    Returns:
        Number of anchors (B, C), and the position (B, C) after the last
        anchor. The anchors are the pixels before that position.
    """
    sizes = ends - starts
    if min_pixels > 1:
        sizes.masked_fill_(sizes < min_pixels, 0)
    pairs = sizes.count_nonzero().clamp_(min=1)
    counts = sizes.clamp(max=(max_samples // pairs).clamp_(1, max_views))
    num_hard = counts // 2
    if round_hard_up:
        num_hard = counts - num_hard
    return counts, torch.clamp(
        middles + num_hard, min=starts + counts, max=ends)


def join_ranges(counts: Tensor, ends: Tensor,
                num_slots: int) -> Tuple[Tensor, Tensor]:
    """List the positions of ranges one after another.

    Args:
        counts: (R,) int64 length of each range, 0 or more.
        ends: (R,) int64 position after the last one of each range.
        num_slots: Number of rows of the result. Further positions are
            dropped.

    Returns:
        Position (num_slots,) and a mask (num_slots,) of unused rows.
    """
    until = counts.cumsum(0)
    slot = torch.arange(num_slots, device=counts.device)
    unused = slot >= until[-1]
    range_of_slot = torch.searchsorted(until[:-1], slot, right=True)
    return slot.add_((ends - until)[range_of_slot]), unused


def sample_classes(
        labels: Tensor,
        num_classes: int,
        draws: Tensor,
        generator: Optional[torch.Generator] = None
) -> Tuple[Tensor, Tensor]:
    """Draw up to K pixels of every class of every image uniformly.

    Args:
        labels: (B, H, W) int64 labels; pixels with a label outside [0, C)
            are ignored.
        num_classes: C.
        draws: (K,) int64 numbers from 0 to K - 1.
        generator: Generator of the random draws, on the device of `labels`.

    Returns:
        Pixel index (B, C, K) and a mask (B, C, K) of unused entries.
    """
    keys = draw_noise(labels, generator).add_(
        labels.clamp(-1, num_classes), alpha=NOISE)
    order, edges = sort_pixels(keys, num_groups=num_classes + 2, lowest=-1)
    edges = edges[:-1].view(len(labels), num_classes + 2, 1)
    position = edges[:, 1:-1] + draws
    unused = position >= edges[:, 2:]
    return order[position.clamp_(max=len(order) - 1)], unused


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
