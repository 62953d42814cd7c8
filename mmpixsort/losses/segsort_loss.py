"""The segment sorting loss as a module."""
from typing import Optional

from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_non_negative,
                                         check_positive)
from mmpixsort.functional.contrast.keys import Keys
from mmpixsort.functional.segments.sorting import (POSITIVES,
                                                   segment_sorting_sum)
from mmpixsort.registry import MODELS
from mmpixsort.utils.gather import share_over_ranks


@MODELS.register_module()
class SegSortLoss(nn.Module):
    """Average :func:`mmpixsort.functional.segment_sorting` over pixels.

    The mean is over the valid pixels of all ranks, see
    :func:`mmpixsort.utils.gather.share_over_ranks`. If one rank calls the
    loss, all ranks must call it. The defaults are those of the released code
    of Hwang et al. (SegSort, https://arxiv.org/abs/1910.06962).

    Args:
        concentration: kappa, above 0.
        positives: 'same_class' or 'own'.
        loss_weight: Factor of the mean, 0 or more.

    Raises:
        TypeError: If the concentration or the weight is not a number.
        ValueError: If an option is out of range.

    Example:
        >>> import torch
        >>> labels = torch.tensor([0, 1])
        >>> SegSortLoss(concentration=1.)(
        ...     torch.eye(2), labels, torch.eye(2), labels, own_key=labels)
        tensor(0.3133)
    """

    def __init__(self,
                 *,
                 concentration: float = 10.,
                 positives: str = 'same_class',
                 loss_weight: float = 1.) -> None:
        super().__init__()
        check_positive('concentration', concentration)
        check_choice('positives', positives, POSITIVES)
        check_non_negative('loss_weight', loss_weight)
        self.concentration = concentration
        self.positives = positives
        self.loss_weight = loss_weight

    def forward(self,
                anchors: Tensor,
                anchor_labels: Tensor,
                keys: Keys,
                key_labels: Optional[Tensor] = None,
                *,
                own_key: Tensor) -> Tensor:
        """Return a scalar loss, which is zero if no pixel is valid.

        The zero has a gradient. The arguments are those of
        :func:`mmpixsort.functional.segment_sorting`.
        """
        total, valid = segment_sorting_sum(
            anchors,
            anchor_labels,
            keys,
            key_labels,
            own_key=own_key,
            concentration=self.concentration,
            positives=self.positives)
        return self.loss_weight * share_over_ranks(total, valid.sum())
