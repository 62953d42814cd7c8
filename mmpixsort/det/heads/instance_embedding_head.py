"""Embed pixels so that those of an instance lie together, and cluster them.

Shapes: B images, C classes of things, D embedding dims, H W size.
"""
from typing import List, Sequence, Union

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative)
from mmpixsort.registry import MODELS

from .embedding_trunk import EmbeddingTrunk, resize_maps, semantic_loss
from .instance_results import instances_of_image
from .instance_targets import instance_targets, shrink

LABEL_SIZES = ('image', 'feature')
CLASS_SPLITS = ('class', 'vote')
FOREGROUNDS = ('predicted', 'annotated')


@MODELS.register_module()
class InstanceEmbeddingHead(EmbeddingTrunk):
    """Classes by a softmax, instances by a discriminative embedding.

    De Brabandere et al. (https://arxiv.org/abs/1708.02551): pixels of
    things are those that a semantic branch says, instances are clusters of
    their embeddings.

    Args:
        in_channels: Number of channels of the feature.
        num_classes: C; the semantic branch has background too.
        in_index: Level of the backbone or neck, or levels to resize to the
            first and concatenate.
        embed_dims: D; 8 on Cityscapes, 16 on leaves in the paper.
        trunk: Fields of :class:`~mmpixsort.det.heads.embedding_trunk.Trunk`:
            `decoder`, `channels`, `num_convs`, `coordinates`, `norm_cfg`; a
            decoder has C + 1 classes.
        loss: Config of the loss of embeddings.
        semantic_weight: Weight of the cross-entropy, 0 or more.
        label_size: 'image': embeddings are enlarged to the labels (the
            paper); 'feature': labels shrink, which loses small instances
            (counted as `instances_lost`) and costs a sixteenth at stride 4.
        clusters: Config of the clustering.
        class_split: 'class': pixels of each class are clustered apart (the
            paper); 'vote': all things at once, an instance has the class of
            most of its pixels.
        foreground: In the test, where things are: 'predicted', or
            'annotated' (the protocol of the leaf challenge): where
            `gt_foreground` of an image without labels or, of others,
            `gt_instance_map` says.

    Raises:
        ValueError: On options out of range or parts that do not fit.
    """

    def __init__(self,
                 *,
                 in_channels: int,
                 num_classes: int,
                 in_index: Union[int, Sequence[int]] = -1,
                 embed_dims: int = 8,
                 trunk: dict = dict(),
                 loss: dict = dict(type='mmpixsort.DiscriminativeLoss'),
                 semantic_weight: float = 1.,
                 label_size: str = 'image',
                 clusters: dict = dict(type='mmpixsort.MeanShiftBackend'),
                 class_split: str = 'class',
                 foreground: str = 'predicted') -> None:
        check_count('num_classes', num_classes)
        super().__init__(
            in_channels=in_channels,
            num_outputs=num_classes + 1,
            in_index=in_index,
            embed_dims=embed_dims,
            trunk=trunk)
        check_non_negative('semantic_weight', semantic_weight)
        check_choice('label_size', label_size, LABEL_SIZES)
        check_choice('class_split', class_split, CLASS_SPLITS)
        check_choice('foreground', foreground, FOREGROUNDS)
        self.num_classes = num_classes
        self.semantic_weight = semantic_weight
        self.label_size = label_size
        self.class_split = class_split
        self.foreground = foreground
        self.loss_module = MODELS.build(loss)
        self.clusters = MODELS.build(clusters)

    def loss(self, inputs: Sequence[Tensor],
             batch_data_samples: List) -> dict:
        """Return losses and diagnostics of a batch."""
        logits, embeddings = self(inputs)
        size = batch_data_samples[0].metainfo['batch_input_shape']
        targets = instance_targets(
            batch_data_samples, size, self.num_classes)
        diagnostics = dict()
        if self.label_size == 'image':
            logits, embeddings = (
                resize_maps(maps, size) for maps in (logits, embeddings))
        else:
            whole, targets = targets, shrink(targets, embeddings.shape[2:])
            diagnostics['instances_lost'] = (
                _num_seen(whole) - _num_seen(targets))
        losses = self.loss_module(
            embeddings,
            targets.ids,
            class_ids=targets.classes,
            num_ids=targets.num_ids)
        losses['loss_semantic'] = self.semantic_weight * semantic_loss(
            logits, targets.classes)
        return {**losses, **diagnostics}

    def predict(self,
                inputs: Sequence[Tensor],
                batch_data_samples: List,
                rescale: bool = True) -> List[InstanceData]:
        """Return the instances of every image.

        Embeddings and logits are cut to the image without its padding and,
        to `rescale`, resized to its original size before they are clustered.
        """
        logits, embeddings = self(inputs)
        results = []
        for i, sample in enumerate(batch_data_samples):
            meta = sample.metainfo
            size = meta['batch_input_shape']
            height, width = meta['img_shape'][:2]
            shape = meta['ori_shape'][:2] if rescale else (height, width)
            scores, points = (
                resize_maps(resize_maps(maps[i:i + 1].float(), size)[
                    ..., :height, :width], shape)[0]
                for maps in (logits, embeddings))
            given = None
            if self.foreground == 'annotated':
                given = _annotated(sample, shape)
            results.append(instances_of_image(
                points, scores.softmax(0), self.clusters,
                class_split=self.class_split, foreground=given))
        return results


def _num_seen(targets) -> Tensor:
    """Count the instances in the maps of a batch."""
    seen = torch.zeros(
        len(targets.ids), targets.num_ids, device=targets.ids.device)
    seen.scatter_(1, targets.ids.clamp(min=0).flatten(1), 1.)
    return seen[:, 1:].sum()


def _annotated(sample, shape: Sequence[int]) -> Tensor:
    """Return where things are (H, W) bool by the annotation.

    Raises:
        ValueError: When it is missing or of another size.
    """
    given = ('gt_foreground' if 'gt_foreground' in sample else
             'gt_instance_map')
    if given not in sample:
        raise ValueError(
            "`foreground` 'annotated' needs `gt_instance_map` in the data "
            'samples of the test: put mmpixsort.PaintInstanceMap and '
            'mmpixsort.PackInstanceInputs into its pipeline')
    values = sample.get(given).data[0]
    if values.numel() and (values < 0).all():
        raise ValueError(
            "`foreground` 'annotated' needs labels or a mask of all things, "
            f'got none for {sample.metainfo.get("img_path")!r}: put the '
            "`_fg.png` beside it, or set foreground='predicted'")
    inside = values > 0
    if tuple(inside.shape) != tuple(shape):
        raise ValueError(
            f'`{given}` must have the size {tuple(shape)} of the '
            f'prediction, got {tuple(inside.shape)}: load annotations after '
            'Resize in the pipeline of the test')
    return inside
