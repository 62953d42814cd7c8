"""Segment sorting of instances and stuff, with pixels weighted by area."""
from typing import Optional

from torch import Tensor, nn

from mmpixsort.functional.checks import check_non_negative, check_positive
from mmpixsort.functional.contrast.keys import Keys
from mmpixsort.functional.segments.sorting import segment_sorting_sum
from mmpixsort.registry import MODELS
from mmpixsort.utils.gather import share_over_ranks


@MODELS.register_module()
class PanopticSegSortLoss(nn.Module):
    r"""Pull pixels to segments of their instance and away from all others.

    This is :func:`mmpixsort.functional.segment_sorting` with instances in
    place of classes. Things in other images are negatives even if they have
    the same class, so embeddings must represent the surroundings of an
    instance as well. The loss is a weighted mean over the pixels of all
    ranks. The weight of a pixel is :math:`A_r^{-a}`, where A_r is the area of
    its instance or stuff, so that small instances matter.

    Panoptic Segment Sorting (Hwang et al., OpenReview 1eKz1kjHO1) has the
    same aim. Its equations are not public as text; these are our own.

    Args:
        concentration: kappa, above 0; 10 in SegSort.
        area_power: a, 0 or more. With 0 all pixels have the same weight,
            with 1 all instances.
        loss_weight: Factor of the mean, 0 or more.

    Raises:
        TypeError: If an option is not a number.
        ValueError: If an option is out of range.

    Example:
        >>> import torch
        >>> ids = torch.tensor([0, 1])
        >>> PanopticSegSortLoss(concentration=1.)(
        ...     torch.eye(2), ids, torch.eye(2), ids, own_key=ids,
        ...     areas=torch.tensor([1, 9]))
        tensor(0.3133)
    """

    def __init__(self,
                 *,
                 concentration: float = 10.,
                 area_power: float = 0.5,
                 loss_weight: float = 1.) -> None:
        super().__init__()
        check_positive('concentration', concentration)
        check_non_negative('area_power', area_power)
        check_non_negative('loss_weight', loss_weight)
        self.concentration = concentration
        self.area_power = area_power
        self.loss_weight = loss_weight

    def forward(self,
                anchors: Tensor,
                anchor_ids: Tensor,
                keys: Keys,
                key_ids: Optional[Tensor] = None,
                *,
                own_key: Tensor,
                areas: Tensor,
                anchor_groups: Optional[Tensor] = None,
                key_groups: Optional[Tensor] = None) -> Tensor:
        """Return a scalar loss, which is zero if no pixel is valid.

        The zero has a gradient. See
        :func:`mmpixsort.functional.segment_sorting` for more on the
        arguments.

        Args:
            anchors: (N, D) pixel embeddings, unit rows.
            anchor_ids: (N,) integer panoptic ids of the pixels; they take
                the place of labels and differ between images.
            keys: (P, D) prototypes, or a sequence of :class:`KeyBlock`.
            key_ids: (P,) integer panoptic ids of a tensor of keys.
            own_key: (N,) integer index of the pixel's own segment.
            areas: (N,) area, in pixels, of the instance or stuff of each
                pixel.
            anchor_groups: (N,) integer groups of the pixels. A key of the
                same group is not a negative.
            key_groups: (P,) integer groups of the keys.
        """
        weights = areas.clamp(min=1).float()**-self.area_power
        total, valid = segment_sorting_sum(
            anchors,
            anchor_ids,
            keys,
            key_ids,
            own_key=own_key,
            concentration=self.concentration,
            anchor_groups=anchor_groups,
            key_groups=key_groups,
            weights=weights)
        return self.loss_weight * share_over_ranks(
            total, (weights * valid).sum())
