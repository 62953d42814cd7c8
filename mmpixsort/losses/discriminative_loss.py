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

    The mean is over the images of all ranks that have an instance. If one
    rank calls the loss, all ranks must call it. The defaults are those of De
    Brabandere et al. (https://arxiv.org/abs/1708.02551).

    Args:
        delta_var: Distance to the mean of an instance within which its
            pixels are not pulled, 0 or more.
        delta_dist: Half the distance beyond which two means do not repel
            each other, 0 or more.
        pull_weight: Weight alpha of the pull, 0 or more.
        push_weight: Weight beta of the push, 0 or more.
        reg_weight: Weight gamma of the regularisation, 0 or more.
        background: Meaning of id 0: 'ignore' or 'instance'.
        ignore_index: Id whose pixels are ignored. Pixels with a negative id
            are always ignored.
        distance: 'l2', 'l1' or 'cosine'.
        normalizer: Normalisation of the sums: 'paper', 'authors', 'pixel'
            or 'active'.
        push_scope: Set of means that repel each other: those of an 'image',
            of a 'class' within an image, or of the whole 'batch'.
        overlap: Instances that a pixel in several masks is pulled to: 'all'
            or the 'nearest'.
        min_pixels: Minimum area of an instance in pixels; smaller ones are
            ignored.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If an option is out of range.

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

        The losses are zeros with a gradient if no image has an instance. The
        diagnostics are means over the images with an instance:
        `num_instances`; `active_pixels`, the number of pixels farther than
        `delta_var` from the mean of their instance; and `active_pairs`, the
        number of ordered pairs of means nearer than twice `delta_dist`.

        The arguments are those of
        :func:`mmpixsort.functional.discriminative_loss`.
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
        means = mean_over_ranks(torch.stack(list(values.values()), 1), valid)
        pull, push, reg = means[:3]
        num_instances, active_pixels, active_pairs = means[3:].detach()
        return dict(
            loss_pull=self.pull_weight * pull,
            loss_push=self.push_weight * push,
            loss_reg=self.reg_weight * reg,
            num_instances=num_instances,
            active_pixels=active_pixels,
            active_pairs=active_pairs)
