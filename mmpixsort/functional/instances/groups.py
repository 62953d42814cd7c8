"""Which instances repel each other, and how much each counts.

Shapes: B images, N pixels, M masks, K slots.
"""
from typing import NamedTuple, Optional

from torch import Tensor

from mmpixsort.functional.checks import check_labels

from .slots import Slots


class Groups(NamedTuple):
    """Instances of an image, or of each class of it.

    Attributes:
        valid: (B, K) bool, slots of an instance.
        weights: (B, K) of a mean over groups of means over instances.
        partners: (B, K, K) bool, of one group.
        per_image: (B,) groups.
        images: () images with an instance.
    """

    valid: Tensor
    weights: Tensor
    partners: Tensor
    per_image: Tensor
    images: Tensor


def group_instances(slots: Slots, class_ids: Optional[Tensor],
                    *, by_class: bool) -> Groups:
    """Group the instances of every image.

    Args:
        slots: Slot of the instance of each pixel.
        class_ids: (B, *spatial) integer of pixels, or (B, M) of masks; used
            with `by_class` only.
        by_class: Whether a class of an image is a group of its own.

    Raises:
        ValueError: When classes are needed and not given, or do not fit.
    """
    valid = slots.valid
    partners = valid[:, :, None] & valid[:, None]
    if by_class:
        classes = _slot_classes(slots, class_ids)
        partners = partners & (classes[:, :, None] == classes[:, None])
    size = partners.sum(2).clamp(min=1).to(slots.areas.dtype)
    share = valid / size
    per_image = share.sum(1)
    weights = share / per_image.clamp(min=1)[:, None]
    return Groups(valid, weights, partners, per_image,
                  valid.any(1).sum())


def _slot_classes(slots: Slots, class_ids: Optional[Tensor]) -> Tensor:
    """Return the class (B, K) of every slot."""
    if class_ids is None:
        raise ValueError("`class_ids` must be given with `push_scope` "
                         "'class', got None")
    batch, num_slots = slots.valid.shape
    if slots.index is None:
        return check_labels('class_ids', class_ids, (batch, num_slots))
    classes = check_labels(
        'class_ids', class_ids.flatten(1), slots.index.shape)
    table = classes.new_full((batch, num_slots + 1), -1)
    return table.scatter_reduce_(1, slots.index, classes, 'amax')[:, :-1]
