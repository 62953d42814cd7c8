"""The discriminative loss as a module."""
from typing import Dict, Optional

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative)
from mmpixsort.functional.instances.discriminative import (
    NORMALIZERS, PUSH_SCOPES, discriminative_terms)
from mmpixsort.functional.instances.hinge import DISTANCES
from mmpixsort.functional.instances.overlaps import OVERLAPS
from mmpixsort.functional.instances.slots import BACKGROUNDS
from mmpixsort.registry import MODELS
from mmpixsort.utils.gather import mean_over_ranks


@MODELS.register_module()
class DiscriminativeLoss(nn.Module):
    """Average :func:`mmpixsort.functional.discriminative_loss` over images.

    The mean is over the images of all ranks that have an instance.

    The defaults are those of De Brabandere et al.
    (https://arxiv.org/abs/1708.02551). Images without instances do not
    count.

    Args:
        delta_var: Pull ends within this distance, 0 or more.
        delta_dist: Push ends at twice this distance, 0 or more.
        pull_weight: alpha, 0 or more.
        push_weight: beta, 0 or more.
        reg_weight: gamma, 0 or more.
        background: 'ignore' or 'instance', what id 0 is.
        ignore_index: Id that takes no part, as negative ones.
        distance: 'l2', 'l1' or 'cosine'.
        normalizer: 'paper', 'authors', 'pixel' or 'active'.
        push_scope: 'image', 'class' or 'batch'.
        overlap: What masks that overlap mean: 'all' or 'nearest'.
        min_pixels: Smaller instances take no part.

    Raises:
        ValueError: On options out of range.

    Example:
        >>> import torch
        >>> losses = DiscriminativeLoss()(
        ...     torch.tensor([[[0., 0., 2., 4.]]]),
        ...     torch.tensor([[1, 1, 2, 2]]))
        >>> losses['loss_pull'], losses['active_pairs']
        (tensor(0.1250), tensor(0.))
    """

    def __init__(self,
                 *,
                 delta_var: float = 0.5,
                 delta_dist: float = 1.5,
                 pull_weight: float = 1.,
                 push_weight: float = 1.,
                 reg_weight: float = 0.001,
                 background: str = 'ignore',
                 ignore_index: int = -1,
                 distance: str = 'l2',
                 normalizer: str = 'paper',
                 push_scope: str = 'image',
                 overlap: str = 'all',
                 min_pixels: int = 1) -> None:
        super().__init__()
        for name, value in dict(
                delta_var=delta_var, delta_dist=delta_dist,
                pull_weight=pull_weight, push_weight=push_weight,
                reg_weight=reg_weight).items():
            check_non_negative(name, value)
        check_choice('background', background, BACKGROUNDS)
        check_choice('distance', distance, DISTANCES)
        check_choice('normalizer', normalizer, NORMALIZERS)
        check_choice('push_scope', push_scope, PUSH_SCOPES)
        check_choice('overlap', overlap, OVERLAPS)
        check_count('min_pixels', min_pixels)
        self.delta_var = delta_var
        self.delta_dist = delta_dist
        self.pull_weight = pull_weight
        self.push_weight = push_weight
        self.reg_weight = reg_weight
        self.background = background
        self.ignore_index = ignore_index
        self.distance = distance
        self.normalizer = normalizer
        self.push_scope = push_scope
        self.overlap = overlap
        self.min_pixels = min_pixels

    def forward(self,
                embeddings: Tensor,
                instance_ids: Tensor,
                *,
                class_ids: Optional[Tensor] = None,
                num_ids: Optional[int] = None) -> Dict[str, Tensor]:
        """Return `loss_pull`, `loss_push`, `loss_reg` and diagnostics.

        Zeros with a gradient when no image has an instance. The
        diagnostics, means over those images: `num_instances`,
        `active_pixels` beyond `delta_var`, and `active_pairs` nearer than
        twice `delta_dist`. See
        :func:`mmpixsort.functional.discriminative_loss` for the arguments.
        """
        terms = discriminative_terms(
            embeddings,
            instance_ids,
            delta_var=self.delta_var,
            delta_dist=self.delta_dist,
            background=self.background,
            ignore_index=self.ignore_index,
            distance=self.distance,
            normalizer=self.normalizer,
            push_scope=self.push_scope,
            class_ids=class_ids,
            overlap=self.overlap,
            min_pixels=self.min_pixels,
            num_ids=num_ids)
        values = terms._asdict()
        valid = values.pop('valid')
        mean = dict(zip(values, mean_over_ranks(
            torch.stack(list(values.values()), 1), valid)))
        return dict(
            loss_pull=self.pull_weight * mean['pull'],
            loss_push=self.push_weight * mean['push'],
            loss_reg=self.reg_weight * mean['reg'],
            num_instances=mean['num_instances'],
            active_pixels=mean['active_pixels'],
            active_pairs=mean['active_pairs'])
