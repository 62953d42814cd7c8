"""Put the instances that are pushed apart into groups, and weight them.

Shapes: B images, M masks, K slots.
"""
from typing import NamedTuple, Optional

from torch import Tensor

from mmpixsort.functional.checks import check_labels

from .slots import Slots


class Groups(NamedTuple):
    """Groups of instances: one per image, or one per class of an image.

    Attributes:
        valid: (B, K) bool, True for slots that hold an instance.
        weights: (B, K) weights of the instances, which sum to 1 in every
            image with an instance. All groups of an image have the same
            total weight, and all instances of a group the same weight.
        partners: (B, K, K) bool, True for pairs of different instances of
            one group.
        num_partners: (B, K) number of partners of each instance.
    """

    valid: Tensor
    weights: Tensor
    partners: Tensor
    num_partners: Tensor


def group_instances(slots: Slots, class_ids: Optional[Tensor],
                    *, by_class: bool) -> Groups:
    """Put the instances of an image into one group, or one group per class.

    Args:
        slots: Slots of the instances.
        class_ids: (B, *spatial) integer classes of the pixels, or (B, M)
            classes of the masks; used only with `by_class`.
        by_class: Whether each class of an image has a separate group.

    Returns:
        :class:`Groups` of the batch.

    Raises:
        ValueError: If classes are needed, but are missing or have a wrong
            shape.
    """
    valid = slots.valid
    partners = valid[:, :, None] & valid[:, None]
    if by_class:
        classes = _slot_classes(slots, class_ids)
        partners &= classes[:, :, None] == classes[:, None]
    partners.diagonal(dim1=1, dim2=2).fill_(False)
    num_partners = partners.sum(2, dtype=slots.areas.dtype)
    weights = valid / (num_partners + 1)
    if by_class:
        num_groups = weights.sum(1, keepdim=True)
        weights = weights / num_groups.clamp(min=1)
    return Groups(valid, weights, partners, num_partners)


def _slot_classes(slots: Slots, class_ids: Optional[Tensor]) -> Tensor:
    """Return the class (B, K) of every slot, the largest class in it."""
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
