"""A head that finds instances as clusters of pixel embeddings.

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
    """Instance segmentation head with a discriminative embedding.

    De Brabandere et al. (https://arxiv.org/abs/1708.02551). A semantic
    branch with a softmax predicts which pixels belong to things. The
    embeddings of these pixels are clustered, and each cluster is an
    instance.

    Args:
        in_channels: Number of channels of the feature that is embedded.
        num_classes: Number of classes of things C. The semantic branch has
            one more output for the background.
        in_index: Index of the level of the backbone or neck, or indices of
            levels to resize to the first one and concatenate. It is not used
            with a decoder.
        embed_dims: Number of embedding dimensions D; in the paper 8 on
            Cityscapes and 16 on leaves.
        trunk: Fields of :class:`~mmpixsort.det.heads.embedding_trunk.Trunk`:
            `decoder`, `channels`, `num_convs`, `coordinates`, `norm_cfg`,
            `isolated`. A decoder must have C + 1 classes.
        loss: Config of the loss of the embeddings.
        semantic_weight: Weight of the cross-entropy, 0 or more.
        label_size: Size at which the losses are computed. 'image' enlarges
            logits and embeddings to the size of the labels, as in the paper.
            'feature' shrinks the labels; at stride 4 this costs a sixteenth,
            but loses small instances. Their number is logged as
            `instances_lost`.
        clusters: Config of the clustering backend.
        class_split: 'class' clusters the pixels of each class separately, as
            in the paper. 'vote' clusters the pixels of all things at once.
            In both cases an instance gets the class of most of its pixels.
        foreground: Source of the mask of things in the test. 'predicted'
            takes the semantic branch. 'annotated' follows the protocol of
            the leaf challenge and takes `gt_foreground` of the data sample
            or, without it, the pixels of all instances in
            `gt_instance_map`.

    Raises:
        ValueError: If an option is out of range or parts do not fit.
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
        """Return the losses of a batch, and diagnostics for the log."""
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

        The padding is cut off before the embeddings are clustered. With
        `rescale`, the maps are also resized to the original image size.
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
    """Return the number of instances that have a pixel in the maps."""
    seen = torch.zeros(
        len(targets.ids), targets.num_ids, device=targets.ids.device)
    seen.scatter_(1, targets.ids.clamp(min=0).flatten(1), 1.)
    return seen[:, 1:].sum()


def _annotated(sample, shape: Sequence[int]) -> Tensor:
    """Return the annotated mask of things (H, W) bool of an image.

    Raises:
        ValueError: If the annotation is missing, marks every pixel as
            unknown, or has a size other than `shape`.
    """
    given = ('gt_foreground' if 'gt_foreground' in sample else
             'gt_instance_map')
    if given not in sample:
        raise ValueError(
            "`foreground` 'annotated' needs `gt_instance_map` in the data "
            'samples of the test: put mmpixsort.PaintInstanceMap and '
            'mmpixsort.PackInstanceInputs into the test pipeline')
    values = sample.get(given).data[0]
    if values.numel() and (values < 0).all():
        raise ValueError(
            "`foreground` 'annotated' needs labels or a mask of all things, "
            f'got none for {sample.metainfo.get("img_path")!r}: put the '
            "`_fg.png` beside the image, or set foreground='predicted'")
    inside = values > 0
    if tuple(inside.shape) != tuple(shape):
        raise ValueError(
            f'`{given}` must have the size {tuple(shape)} of the '
            f'prediction, got {tuple(inside.shape)}: load annotations after '
            'Resize in the test pipeline')
    return inside
