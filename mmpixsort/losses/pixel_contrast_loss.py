"""The pixel contrast loss as a module."""
from typing import Optional

from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_non_negative,
                                         check_positive)
from mmpixsort.functional.contrast.keys import Keys, OwnKey
from mmpixsort.functional.contrast.pixel_contrast import (DENOMINATORS,
                                                          pixel_contrast_sum)
from mmpixsort.functional.contrast.tiles import Miner
from mmpixsort.registry import MODELS
from mmpixsort.utils.gather import share_over_ranks


@MODELS.register_module()
class PixelContrastLoss(nn.Module):
    """Average :func:`mmpixsort.functional.pixel_contrast` over anchors.

    The mean is over the valid anchors of all ranks. If one rank calls the
    loss, all ranks must call it. The defaults are those of the Cityscapes
    HRNet config in the released code of Wang et al.
    (https://arxiv.org/abs/2101.11939).

    Args:
        temperature: Divisor of the similarities, above 0.
        base_temperature: The loss is multiplied by temperature /
            base_temperature; None multiplies it by 1.
        denominator: 'per_positive' or 'supcon'.
        loss_weight: Factor of the mean, 0 or more.

    Raises:
        TypeError: If a temperature or the weight is not a number.
        ValueError: If an option is out of range.

    Example:
        >>> import torch
        >>> loss = PixelContrastLoss(base_temperature=None, loss_weight=1.)
        >>> labels = torch.tensor([0, 0, 1])
        >>> anchors = torch.eye(3)[[0, 0, 1]]
        >>> loss(anchors, labels, anchors, labels, own_key=0)
        tensor(4.5399e-05)
    """

    def __init__(self,
                 *,
                 temperature: float = 0.1,
                 base_temperature: Optional[float] = 0.07,
                 denominator: str = 'per_positive',
                 loss_weight: float = 0.1) -> None:
        super().__init__()
        check_positive('temperature', temperature)
        if base_temperature is not None:
            check_positive('base_temperature', base_temperature)
        check_choice('denominator', denominator, DENOMINATORS)
        check_non_negative('loss_weight', loss_weight)
        self.temperature = temperature
        self.base_temperature = base_temperature
        self.denominator = denominator
        self.loss_weight = loss_weight

    def forward(self,
                anchors: Tensor,
                anchor_labels: Tensor,
                keys: Keys,
                key_labels: Optional[Tensor] = None,
                *,
                own_key: OwnKey = None,
                miner: Optional[Miner] = None) -> Tensor:
        """Return a scalar loss, which is zero if no anchor is valid.

        The zero has a gradient. The arguments are those of
        :func:`mmpixsort.functional.pixel_contrast`.
        """
        total, valid = pixel_contrast_sum(
            anchors,
            anchor_labels,
            keys,
            key_labels,
            temperature=self.temperature,
            base_temperature=self.base_temperature,
            own_key=own_key,
            denominator=self.denominator,
            miner=miner,
            loss_weight=self.loss_weight)
        return share_over_ranks(total, valid.sum())
