"""Discriminative loss of pixel embeddings for instance segmentation.

The loss pulls pixels to the mean of their instance and pushes the means of
different instances apart.

De Brabandere, Neven, Van Gool, "Semantic Instance Segmentation with a
Discriminative Loss Function", 2017, https://arxiv.org/abs/1708.02551.

Shapes: B images, D embedding dims, K slots for the instances of an image, C
instances of an image that are not ignored, N_c pixels of instance c.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import (check_choice, check_labels,
                                         check_non_negative)
from mmpixsort.functional.precision import autocast_off

from .groups import Groups, group_instances
from .hinge import DISTANCES, Hinges, instance_hinges
from .overlaps import overlap_hinges
from .slots import instance_slots

NORMALIZERS = ('paper', 'authors', 'pixel', 'active')
PUSH_SCOPES = ('image', 'class', 'batch')


class DiscriminativeTerms(NamedTuple):
    """Terms of the discriminative loss of each image, with diagnostics.

    Attributes:
        pull: (B,) L_var, which pulls pixels to the mean of their instance.
        push: (B,) L_dist, which pushes means apart.
        reg: (B,) L_reg, the average length of the means.
        valid: (B,) bool, True for images with an instance.
        num_instances: (B,) number of instances. This field and the following
            ones have no gradient.
        active_pixels: (B,) number of pixels farther than `delta_var` from
            the mean of their instance.
        active_pairs: (B,) number of ordered pairs of means nearer than
            2 `delta_dist`.
    """

    pull: Tensor
    push: Tensor
    reg: Tensor
    valid: Tensor
    num_instances: Tensor
    active_pixels: Tensor
    active_pairs: Tensor


def discriminative_loss(embeddings: Tensor,
                        instance_ids: Tensor,
                        *,
                        delta_var: float = 0.5,
                        delta_dist: float = 1.5,
                        background: str = 'ignore',
                        ignore_index: int = -1,
                        distance: str = 'l2',
                        normalizer: str = 'paper',
                        push_scope: str = 'image',
                        class_ids: Optional[Tensor] = None,
                        overlap: str = 'all',
                        min_pixels: int = 1,
                        num_ids: Optional[int] = None) -> tuple:
    r"""Compute the three terms of the discriminative loss of each image.

    .. math::
        L_{var} = \frac1C \sum_c \frac1{N_c} \sum_{i \in c}
            [d(x_i, \mu_c) - \delta_v]_+^2, \quad
        L_{dist} = \frac1{C (C - 1)} \sum_{a \ne b}
            [2 \delta_d - d(\mu_a, \mu_b)]_+^2, \quad
        L_{reg} = \frac1C \sum_c \|\mu_c\|

    All images are processed at once, in float32, or in float64 for float64
    embeddings, with autocast off. The memory holds B * D * N numbers for the
    gradient and a few tensors of B * N and B * K * K numbers. Two means that
    coincide add (2 delta_d)^2 to the sum of L_dist, but have no gradient.

    Args:
        embeddings: (B, D, *spatial) floating tensor with any number of
            spatial dimensions. Ignored pixels may hold any values, even NaN.
        instance_ids: (B, *spatial) integer instance of each pixel; or
            (B, M, *spatial) bool masks of M instances, which may overlap or
            be empty. Pixels with a negative id are ignored.
        delta_var: Distance to the mean within which a pixel is not pulled,
            0 or more.
        delta_dist: Half the distance beyond which two means do not push each
            other apart, 0 or more.
        background: Meaning of id 0: 'ignore' ignores its pixels, 'instance'
            treats it like any other instance.
        ignore_index: Id whose pixels are ignored.
        distance: Distance d: 'l2', 'l1', or 'cosine' for 1 - cos between
            unit vectors. With 'cosine' both margins are in units of 1 - cos,
            and L_reg is 0.
        normalizer: Normalisation of the sums. 'paper': the equations above;
            'authors': as in the authors' released code, the pull is summed
            over instances, and the push is summed over pairs a < b and
            divided by C - 1; 'pixel': the pull is a mean over pixels;
            'active': pull and push are means over the pixels and pairs whose
            hinge is above 0.
        push_scope: Set of instances in which means are pushed apart: all
            instances of an 'image'; all instances of a 'class' of an image,
            averaged over classes, as in the paper on Cityscapes; or all
            instances of the 'batch'.
        class_ids: (B, *spatial) integer classes, or (B, M) with masks; they
            are needed for `push_scope='class'`. The class of an instance is
            the largest class of its pixels.
        overlap: Instances to which a pixel of several masks is pulled: 'all'
            of them, or only the 'nearest'.
        min_pixels: Minimum area of an instance in pixels; smaller ones are
            ignored.
        num_ids: Number of slots K; pixels with an id of K or more are
            ignored. The loss compares K^2 pairs of slots, so number the
            instances of every image from 1. None accepts any ids, but makes
            the CPU wait for the device.

    Returns:
        The pull (B,), push (B,) and reg (B,) of each image, and valid (B,),
        which is True for images with an instance. The terms of other images
        are zero and have a gradient of zero. The push of an image with a
        single instance is zero.

    Raises:
        ValueError: If a shape, a dtype or an option is wrong.
        TypeError: If `instance_ids` are neither integers nor bool.

    Example:
        >>> embeddings = torch.tensor([[[0., 0., 2., 4.]]])
        >>> ids = torch.tensor([[1, 1, 2, 2]])
        >>> pull, push, reg, valid = discriminative_loss(embeddings, ids)
        >>> pull.item(), push.item(), reg.item()
        (0.125, 0.0, 1.5)
    """
    return discriminative_terms(
        embeddings, instance_ids, delta_var=delta_var, delta_dist=delta_dist,
        background=background, ignore_index=ignore_index, distance=distance,
        normalizer=normalizer, push_scope=push_scope, class_ids=class_ids,
        overlap=overlap, min_pixels=min_pixels, num_ids=num_ids)[:4]


def discriminative_terms(embeddings: Tensor, instance_ids: Tensor, *,
                         delta_var: float, delta_dist: float,
                         background: str, ignore_index: int, distance: str,
                         normalizer: str, push_scope: str,
                         class_ids: Optional[Tensor], overlap: str,
                         min_pixels: int,
                         num_ids: Optional[int]) -> DiscriminativeTerms:
    """Compute the terms of :func:`discriminative_loss` with diagnostics.

    It takes the same arguments as :func:`discriminative_loss`.
    """
    check_non_negative('delta_var', delta_var)
    check_non_negative('delta_dist', delta_dist)
    check_choice('distance', distance, DISTANCES)
    check_choice('normalizer', normalizer, NORMALIZERS)
    check_choice('push_scope', push_scope, PUSH_SCOPES)
    _check_shapes(embeddings, instance_ids)
    with autocast_off(embeddings.device):
        if embeddings.dtype != torch.float64:
            embeddings = embeddings.float()
        points = embeddings.flatten(2)
        if distance == 'cosine':
            points = normalize(points, dim=1)
        pull = dict(margin=delta_var, distance=distance)
        if instance_ids.dtype == torch.bool:
            slots, hinges = overlap_hinges(
                points, instance_ids.flatten(2), overlap=overlap,
                min_pixels=min_pixels, **pull)
        else:
            slots = instance_slots(
                instance_ids, background=background,
                ignore_index=ignore_index, num_ids=num_ids,
                min_pixels=min_pixels, dtype=points.dtype)
            hinges = instance_hinges(points, slots, **pull)
        groups = group_instances(
            slots, class_ids, by_class=push_scope == 'class')
        return _terms(hinges, slots.areas, groups, normalizer=normalizer,
                      margin=2 * delta_dist, distance=distance,
                      whole_batch=push_scope == 'batch')


def _check_shapes(embeddings: Tensor, instance_ids: Tensor) -> None:
    if embeddings.dim() < 3 or not embeddings.is_floating_point():
        raise ValueError(
            '`embeddings` must be a floating tensor of shape (B, D, '
            f'*spatial), got {embeddings.dtype} of shape '
            f'{tuple(embeddings.shape)}')
    batch, _, *spatial = embeddings.shape
    if instance_ids.dtype == torch.bool:
        got = instance_ids.shape[:1] + instance_ids.shape[2:]
        if instance_ids.dim() != embeddings.dim() or got != (batch, *spatial):
            raise ValueError(
                '`instance_ids` of type bool must be masks of shape (B, M, '
                f'*spatial) for embeddings {tuple(embeddings.shape)}, got '
                f'{tuple(instance_ids.shape)}')
    else:
        check_labels('instance_ids', instance_ids, (batch, *spatial))


def _terms(hinges: Hinges, areas: Tensor, groups: Groups, *,
           normalizer: str, margin: float, distance: str,
           whole_batch: bool) -> DiscriminativeTerms:
    """Compute the terms of images from the hinges of their instances.

    Args:
        hinges: Means and hinges of the instances.
        areas: (B, K) areas in pixels, at least 1.
        groups: Groups of instances whose means are pushed apart.
        normalizer: Normalisation of the sums.
        margin: Distance beyond which two means do not push each other apart.
        distance: 'l2', 'l1' or 'cosine'.
        whole_batch: Whether all means of the batch are pushed apart.
    """
    valid = groups.valid
    num = valid.sum(1)
    sizes = areas
    if normalizer == 'pixel':
        sizes = areas.masked_fill(~valid, 0.).sum(1, keepdim=True)
        sizes = sizes.clamp(min=1)
    elif normalizer == 'active':
        sizes = hinges.active[:, None].clamp(min=1).to(areas.dtype)
    weights = groups.weights if normalizer == 'paper' else 1
    pull = (hinges.sums * (weights / sizes)).sum(1)
    push, pairs = _push(hinges.means, groups, normalizer, margin, distance,
                        whole_batch)
    if distance == 'cosine':
        reg = torch.zeros_like(pull)
    else:
        length = torch.linalg.vector_norm(
            hinges.means, ord=1 if distance == 'l1' else 2, dim=1)
        reg = (length * groups.weights).sum(1)
    return DiscriminativeTerms(pull, push, reg, num > 0, num, hinges.active,
                               pairs)


def _push(means: Tensor, groups: Groups, normalizer: str, margin: float,
          distance: str, whole_batch: bool) -> tuple:
    """Return the push (B,) and the number of pairs (B,) within the margin."""
    batch, _, num_slots = means.shape
    rows, partners = means.transpose(1, 2), groups.partners
    weights, num_partners, images = groups.weights, groups.num_partners, 1
    if whole_batch:
        rows = targets = rows.reshape(1, batch * num_slots, -1)
        partners = groups.valid.view(1, -1)
        partners = partners[:, :, None] & partners[:, None]
        partners.diagonal(dim1=1, dim2=2).fill_(False)
        num_partners = partners.sum(2, dtype=rows.dtype).view(
            batch, num_slots)
        # with this factor the mean over images is the mean over all pairs
        images = groups.valid.any(1).sum()
        weights = images / (num_partners + 1)
    else:
        # The two distances of a pair have the same weight in the same sum.
        # Twice the gradient of the first mean is then that of both, at half
        # the cost.
        targets = rows.detach()
        rows = torch.lerp(targets, rows, 2.)  # the same numbers
    hinge = (margin - _pair_distances(rows, targets, distance)).relu()
    factor = partners.view(batch, num_slots, -1)
    if normalizer != 'active':
        if normalizer == 'authors':
            weights = images / 2
        factor = factor * (weights / num_partners.clamp(min=1))[..., None]
    square = hinge.square().view_as(factor) * factor
    push, pairs = square.sum((1, 2)), square.count_nonzero((1, 2))
    if normalizer == 'active':
        num_pairs = pairs.sum() if whole_batch else pairs
        push = push * images / num_pairs.clamp(min=1)
    return push, pairs


def _pair_distances(rows: Tensor, targets: Tensor, distance: str) -> Tensor:
    """Return the distances (B, K, K) of means (B, K, D) from other means."""
    if distance == 'cosine':
        return 1 - rows @ targets.transpose(1, 2)
    # the form with a matrix product is inexact for means far from the origin
    return torch.cdist(
        rows, targets, p=1 if distance == 'l1' else 2,
        compute_mode='donot_use_mm_for_euclid_dist')
