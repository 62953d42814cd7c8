"""A panoptic head that finds instances as clusters of an embedding.

Shapes: B images, T classes of things, S of stuff, C = T + S, D embedding
dims, h w size of the embedding, K instances.
"""
from typing import List, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmpixsort.functional.segments.prototypes import segment_sums
from mmpixsort.registry import MODELS

from .embedding_trunk import resize_maps
from .panoptic_head import PanopticHead
from .panoptic_instances import CellInstances
from .panoptic_results import ImageMaps, panoptic_of_cells


@MODELS.register_module()
class PanopticDiscriminativeHead(PanopticHead):
    """Panoptic head with the discriminative loss in place of segment sorting.

    A softmax predicts the classes. The embedding is trained with the loss of
    De Brabandere et al. (https://arxiv.org/abs/1708.02551), and its clusters
    within a class of things are the instances. The detector of this head is
    :class:`PanopticSegSort`. With `clusters=dict(type=
    'mmpixsort.ComponentsBackend')` and weights of 0 in the loss, it is a
    semantic head whose instances are connected components.

    Args:
        in_channels: Number of channels of the feature that is embedded.
        num_things: Number of classes of things T, which come first.
        num_stuff: Number of classes of stuff S.
        in_index: Index of the level of the backbone or neck, or indices of
            levels to resize to the first one and concatenate. It is not used
            with a decoder.
        embed_dims: Number of embedding dimensions D.
        trunk: Fields of :class:`~mmpixsort.det.heads.embedding_trunk.Trunk`:
            `decoder`, `channels`, `num_convs`, `coordinates`, `norm_cfg`,
            `isolated`. A decoder must have C classes.
        loss: Config of the loss of the embeddings.
        semantic_weight: Weight of the cross-entropy, 0 or more.
        clusters: Config of the clustering backend. It clusters the cells of
            the embedding map, separately for each class of things.
        rules: `min_area`, `max_instances` and `min_stuff_area` of
            :class:`~mmpixsort.det.heads.panoptic_rules.PanopticRules`.

    Raises:
        ValueError: If an option is out of range, parts do not fit, or there
            are more than 255 classes, because 255 is void.
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 num_things: int,
                 num_stuff: int,
                 in_index: Union[int, Sequence[int]] = -1,
                 embed_dims: int = 16,
                 trunk: dict = dict(),
                 loss: dict = dict(type='mmpixsort.DiscriminativeLoss'),
                 semantic_weight: float = 1.,
                 clusters: dict = dict(type='mmpixsort.MeanShiftBackend'),
                 rules: dict = dict()) -> None:
        super().__init__(
            in_channels=in_channels,
            num_things=num_things,
            num_stuff=num_stuff,
            in_index=in_index,
            embed_dims=embed_dims,
            trunk=trunk,
            loss=loss,
            semantic_weight=semantic_weight,
            rules=rules)
        self.clusters = MODELS.build(clusters)

    def embed(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """Return logits (B, C, h, w) and embeddings (B, D, h, w)."""
        return self(inputs)

    def loss(self, inputs: Sequence[Tensor],
             batch_data_samples: List) -> dict:
        """Return the losses of a batch, and diagnostics for the log."""
        logits, embeddings = self.embed(inputs)
        targets = self.targets(batch_data_samples)
        things = (targets.regions >= 0) & (
            targets.regions < targets.num_things_seen)
        ids = (targets.regions + 1).masked_fill(~things, 0)
        losses = self.loss_module(
            resize_maps(embeddings, targets.semantic.shape[1:]),
            ids.masked_fill(targets.regions < 0, -1),
            class_ids=targets.semantic,
            num_ids=targets.num_things_seen + 1)
        losses['loss_semantic'] = self.semantic_loss(logits, targets)
        return losses

    def panoptic_of(self, maps: ImageMaps) -> dict:
        """Return the panoptic map and the instances of one image."""
        return panoptic_of_cells(
            self._cells(maps.logits, maps.embeddings), maps.logits,
            maps.size, num_things=self.num_things, rules=self.rules,
            extent=maps.extent)

    @torch.no_grad()
    def _cells(self, logits: Tensor, embeddings: Tensor) -> CellInstances:
        """Return the clusters of the cells of each class of things."""
        labels = logits.argmax(0)
        ids, count = torch.full_like(labels, -1), 0
        for label in range(self.num_things):
            found = self.clusters(embeddings, labels == label).long()
            ids = torch.where(found > 0, found - 1 + count, ids)
            count += int(found.max())
        rows = logits.flatten(1).softmax(0)[:self.num_things].T
        areas = ids[ids >= 0].bincount(minlength=count)
        means = segment_sums(rows, ids.flatten(), count) / areas[:, None]
        if not count:
            return CellInstances(ids, areas, means.new_zeros(0))
        scores, classes = means.max(1)
        return CellInstances(ids, classes, scores)
