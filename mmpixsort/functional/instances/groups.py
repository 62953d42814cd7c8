"""Groups of instances that repel each other, and the weights of instances.

Shapes: B images, N pixels, M masks, K slots.
"""
from typing import NamedTuple, Optional

from torch import Tensor

from mmpixsort.functional.checks import check_labels

from .slots import Slots


class Groups(NamedTuple):
    """Groups of instances: all those of an image, or those of each class.

    Attributes:
        valid: (B, K) bool, True for slots that hold an instance.
        weights: (B, K) weights of the instances in the mean over the groups
            of an image of the means over the instances of a group.
        partners: (B, K, K) bool, True for pairs of one group.
        per_image: (B,) number of groups of each image.
        images: () number of images with an instance.
    """

    valid: Tensor
    weights: Tensor
    partners: Tensor
    per_image: Tensor
    images: Tensor


def group_instances(slots: Slots, class_ids: Optional[Tensor],
                    *, by_class: bool) -> Groups:
    """Group the instances of every image, in one group or by class.

    Args:
        slots: Slots of the instances.
        class_ids: (B, *spatial) integer classes of the pixels, or (B, M)
            classes of the masks; used only with `by_class`.
        by_class: Whether the instances of each class are a separate group.

    Returns:
        :class:`Groups` of the batch.

    Raises:
        ValueError: If classes are needed but are missing or of a wrong
            shape.
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
