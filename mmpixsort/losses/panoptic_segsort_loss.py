"""Segment sorting of instances, pixels weighted by the size of theirs."""
from typing import Optional

from torch import Tensor, nn

from mmpixsort.functional.checks import check_non_negative, check_positive
from mmpixsort.functional.contrast.keys import Keys
from mmpixsort.functional.segments.sorting import segment_sorting_sum
from mmpixsort.registry import MODELS
from mmpixsort.utils.gather import share_over_ranks


@MODELS.register_module()
class PanopticSegSortLoss(nn.Module):
    r"""Sort pixels to the segments of their instance, away from all others.

    :func:`mmpixsort.functional.segment_sorting` with instances in the place
    of classes: things of other images, of the same class too, are negatives,
    so that what surrounds an instance has to tell it from the others. The
    mean over pixels is weighted by :math:`A_r^{-a}`, A_r the area of the
    instance or stuff that a pixel belongs to, so that small ones count.

    Panoptic Segment Sorting (Hwang et al., OpenReview 1eKz1kjHO1) has this
    aim; its equations are not public as text, and these are ours.

    Args:
        concentration: kappa, above 0; 10 in SegSort.
        area_power: a, 0 or more; 0 weighs all pixels alike, 1 all
            instances.
        loss_weight: Multiplies the mean, 0 or more.

    Raises:
        ValueError: On values out of range.

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
        """Return a scalar, zero with a gradient when no pixel is valid.

        Args:
            anchors: (N, D).
            anchor_ids: (N,) panoptic ids, unique over images.
            keys: As in the function.
            key_ids: As `key_labels` of the function.
            own_key: (N,).
            areas: (N,) pixels of the instance or stuff of each pixel.
            anchor_groups: (N,), see the function.
            key_groups: (P,).
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
