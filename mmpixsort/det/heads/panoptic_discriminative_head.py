"""Panoptic segmentation with the discriminative loss, or without any.

Shapes: B images, T classes of things, S of stuff, C = T + S, D embedding
dims, h w size of the embedding, K instances.
"""
from typing import List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count, check_non_negative
from mmpixsort.functional.segments.prototypes import segment_sums
from mmpixsort.registry import MODELS

from .embedding_trunk import EmbeddingTrunk, resize_maps, semantic_loss
from .panoptic_instances import CellInstances
from .panoptic_results import maps_of_images, panoptic_of_cells
from .panoptic_rules import PanopticRules
from .panoptic_targets import VOID, panoptic_targets


@MODELS.register_module()
class PanopticDiscriminativeHead(EmbeddingTrunk):
    """Classes by a softmax, instances by clusters of an embedding.

    The discriminative loss of De Brabandere et al.
    (https://arxiv.org/abs/1708.02551) in the place of segment sorting, for
    :class:`PanopticSegSort`. With `clusters=dict(type=
    'mmpixsort.ComponentsBackend')` and weights of 0 in the loss it is a
    semantic head with connected components.

    Args:
        in_channels: Channels of the feature.
        num_things: T, classes that come first.
        num_stuff: S.
        in_index: Level or levels of the backbone or neck.
        decoder: Config of a decode head of MMSegmentation with C classes,
            see InstanceEmbeddingHead.
        channels: Number of channels of the convolutions between the feature
            and both branches.
        num_convs: Number of 3 x 3 convolutions, 0 or more.
        embed_dims: D.
        coordinates: See EmbeddingTrunk.
        norm_cfg: Normalisation of the convolutions.
        loss: Config of the loss of embeddings.
        semantic_weight: Weight of the cross-entropy, 0 or more.
        clusters: Config of the clustering, of cells of the embedding, those
            of each class of things apart.
        rules: `min_area`, `max_instances` and `min_stuff_area` of
            PanopticRules.
        init_cfg: Initialisation of weights, as in the host.

    Raises:
        ValueError: On options out of range or parts that do not fit.
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 num_things: int,
                 num_stuff: int,
                 in_index: Union[int, Sequence[int]] = -1,
                 decoder: Optional[dict] = None,
                 channels: int = 64,
                 num_convs: int = 1,
                 embed_dims: int = 16,
                 coordinates: Optional[str] = None,
                 norm_cfg: Optional[dict] = dict(type='BN'),
                 loss: dict = dict(type='mmpixsort.DiscriminativeLoss'),
                 semantic_weight: float = 1.,
                 clusters: dict = dict(type='mmpixsort.MeanShiftBackend'),
                 rules: dict = dict(),
                 init_cfg: Optional[dict] = None) -> None:
        check_count('num_things', num_things)
        check_count('num_stuff', num_stuff, minimum=0)
        check_non_negative('semantic_weight', semantic_weight)
        super().__init__(
            in_channels=in_channels,
            num_outputs=num_things + num_stuff,
            in_index=in_index,
            decoder=decoder,
            channels=channels,
            num_convs=num_convs,
            embed_dims=embed_dims,
            coordinates=coordinates,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg)
        self.num_things = num_things
        self.num_classes = num_things + num_stuff
        self.ignore_index = VOID
        self.semantic_weight = semantic_weight
        self.loss_module = MODELS.build(loss)
        self.clusters = MODELS.build(clusters)
        self.rules = PanopticRules(**rules).check()

    def embed(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """Return logits (B, C, h, w) and embeddings (B, D, h, w)."""
        return self(inputs)

    def loss(self, inputs: Sequence[Tensor],
             batch_data_samples: List) -> dict:
        """Return losses and diagnostics of a batch."""
        size = batch_data_samples[0].metainfo['batch_input_shape']
        logits, embeddings = (
            resize_maps(maps, size) for maps in self.embed(inputs))
        targets = panoptic_targets(
            batch_data_samples, size, num_things=self.num_things,
            num_classes=self.num_classes)
        things = (targets.regions >= 0) & (
            targets.regions < targets.num_things_seen)
        ids = (targets.regions + 1).masked_fill(~things, 0)
        losses = self.loss_module(
            embeddings,
            ids.masked_fill(targets.regions < 0, -1),
            class_ids=targets.semantic,
            num_ids=targets.num_things_seen + 1)
        losses['loss_semantic'] = self.semantic_weight * semantic_loss(
            logits, targets.semantic)
        return losses

    def predict(self,
                inputs: Sequence[Tensor],
                batch_data_samples: List,
                rescale: bool = True) -> List:
        """Return the panoptic map and the instances of every image."""
        return self.results(
            *self.embed(inputs), batch_data_samples, rescale=rescale)

    def results(self, logits: Tensor, embeddings: Tensor,
                batch_data_samples: List, rescale: bool = True) -> List:
        """Return what `predict` does, of logits and embeddings."""
        return [
            panoptic_of_cells(
                self._cells(maps.logits, maps.embeddings), maps.logits,
                maps.size, num_things=self.num_things, rules=self.rules,
                extent=maps.extent)
            for maps in maps_of_images(
                logits, embeddings, batch_data_samples, rescale)]

    @torch.no_grad()
    def _cells(self, logits: Tensor, embeddings: Tensor) -> CellInstances:
        """Cluster the cells of each class of things."""
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
