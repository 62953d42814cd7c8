"""The discriminative loss in the forms in which users write it.

The loss is that of De Brabandere et al., 2017,
https://arxiv.org/abs/1708.02551: the sum of pull, push and 0.001 reg, averaged
over images, with margins of 0.5 and 1.5. Ids are 0 to C - 1 in every image,
and all of them are instances.

Shapes: B images, D embedding dims, N pixels of an image, C instances.
"""
import torch
from torch import Tensor


def _push_and_reg(means: Tensor) -> Tensor:
    """Return push and reg of means (B, C, D)."""
    count = means.shape[1]
    near = (3 - torch.cdist(means, means)).clamp(min=0).square()
    others = ~torch.eye(count, dtype=torch.bool, device=means.device)
    return near[:, others].mean() + .001 * means.norm(dim=2).mean()


def by_rows(maps: Tensor, ids: Tensor, count: int) -> Tensor:
    """Compute the loss on rows of pixels, by index_add and indexing."""
    batch, dims = maps.shape[:2]
    rows = maps.flatten(2).transpose(1, 2).reshape(-1, dims)
    first = count * torch.arange(batch, device=ids.device)
    slots = (ids + first[:, None, None]).flatten()
    areas = torch.bincount(slots, minlength=batch * count).clamp(min=1)
    means = rows.new_zeros(batch * count, dims).index_add(0, slots, rows)
    means = means / areas[:, None]
    hinge = ((rows - means[slots]).norm(dim=1) - .5).clamp(min=0).square()
    pull = rows.new_zeros(batch * count).index_add(0, slots, hinge) / areas
    return pull.mean() + _push_and_reg(means.view(batch, count, dims))


def by_scatter(maps: Tensor, ids: Tensor, count: int) -> Tensor:
    """Compute the loss on the map, by scatter along its pixels."""
    batch, dims = maps.shape[:2]
    points, ids = maps.flatten(2), ids.flatten(1)
    areas = points.new_zeros(batch, count).scatter_add(
        1, ids, torch.ones_like(ids, dtype=points.dtype)).clamp(min=1)
    index = ids[:, None].expand(-1, dims, -1)
    means = points.new_zeros(batch, dims, count).scatter_add(
        2, index, points) / areas[:, None]
    offsets = points - means.gather(2, index)
    hinge = (offsets.norm(dim=1) - .5).clamp(min=0).square()
    pull = points.new_zeros(batch, count).scatter_add(1, ids, hinge) / areas
    return pull.mean() + _push_and_reg(means.transpose(1, 2))


def by_broadcast(maps: Tensor, ids: Tensor, count: int) -> Tensor:
    """Compare every pixel with every instance, image by image."""
    losses = []
    for points, own in zip(maps.flatten(2), ids.flatten(1)):
        rows = points.T  # (N, D)
        masks = torch.nn.functional.one_hot(own, count).to(rows.dtype)
        spread = rows[:, None] * masks[:, :, None]  # (N, C, D)
        areas = masks.sum(0)
        means = spread.sum(0) / areas[:, None]
        distance = (spread - means * masks[:, :, None]).norm(dim=2)
        hinge = (distance - .5).clamp(min=0).square() * masks
        pull = (hinge.sum(0) / areas).mean()
        losses.append(pull + _push_and_reg(means[None]))
    return torch.stack(losses).mean()
