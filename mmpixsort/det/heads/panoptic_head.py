"""The base class of the panoptic heads.

Shapes: B images, T classes of things, S of stuff, C = T + S, D embedding
dims, h w size of the embedding.
"""
from typing import List, Sequence, Union

from torch import Tensor

from mmpixsort.functional.checks import check_count, check_non_negative
from mmpixsort.layers.head_parts import read_fields
from mmpixsort.registry import MODELS

from .embedding_trunk import EmbeddingTrunk, resize_maps, semantic_loss
from .panoptic_results import ImageMaps, maps_of_images
from .panoptic_rules import PanopticRules
from .panoptic_targets import VOID, PanopticTargets, panoptic_targets


class PanopticHead(EmbeddingTrunk):
    """Base class of heads that predict a class and an instance per pixel.

    A softmax predicts the classes. A subclass finds the instances of things
    and defines `embed`, `loss` and `panoptic_of`.

    Args:
        in_channels: Number of channels of the feature that is embedded.
        num_things: Number of classes of things T, which come first.
        num_stuff: Number of classes of stuff S.
        in_index: Index of the level of the backbone or neck, or indices of
            levels to resize to the first one and concatenate. It is not used
            with a decoder.
        embed_dims: Number of embedding dimensions D.
        trunk: Fields of :class:`~mmpixsort.det.heads.embedding_trunk.Trunk`.
        loss: Config of the loss of the embeddings.
        semantic_weight: Weight of the cross-entropy, 0 or more.
        rules: Fields of
            :class:`~mmpixsort.det.heads.panoptic_rules.PanopticRules`.

    Raises:
        ValueError: If an option is out of range, parts do not fit, or there
            are more than 255 classes, because 255 is void.
    """

    def __init__(self, *, in_channels: int, num_things: int, num_stuff: int,
                 in_index: Union[int, Sequence[int]], embed_dims: int,
                 trunk: dict, loss: dict, semantic_weight: float,
                 rules: dict) -> None:
        check_count('num_things', num_things)
        check_count('num_stuff', num_stuff, minimum=0)
        if num_things + num_stuff > VOID:
            raise ValueError(
                f'`num_things` + `num_stuff` must be at most {VOID}, the '
                'label of void pixels, got '
                f'{num_things + num_stuff}; leave classes out of the metainfo '
                'of the data set')
        super().__init__(
            in_channels=in_channels,
            num_outputs=num_things + num_stuff,
            in_index=in_index,
            embed_dims=embed_dims,
            trunk=trunk)
        check_non_negative('semantic_weight', semantic_weight)
        self.num_things = num_things
        self.num_stuff = num_stuff
        self.num_classes = num_things + num_stuff
        self.ignore_index = VOID
        self.semantic_weight = semantic_weight
        self.rules = read_fields(PanopticRules, 'rules', rules).check()
        self.loss_module = MODELS.build(loss)

    def targets(self, batch_data_samples: List) -> PanopticTargets:
        """Return the panoptic maps of a batch, at the size of its images."""
        return panoptic_targets(
            batch_data_samples,
            batch_data_samples[0].metainfo['batch_input_shape'],
            num_things=self.num_things,
            num_classes=self.num_classes)

    def semantic_loss(self, logits: Tensor,
                      targets: PanopticTargets) -> Tensor:
        """Return the weighted cross-entropy of logits (B, C, h, w)."""
        return self.semantic_weight * semantic_loss(
            resize_maps(logits, targets.semantic.shape[1:]),
            targets.semantic)

    def predict(self,
                inputs: Sequence[Tensor],
                batch_data_samples: List,
                rescale: bool = True) -> List[dict]:
        """Return the panoptic map and the instances of every image."""
        return self.results(
            *self.embed(inputs), batch_data_samples, rescale=rescale)

    def results(self,
                logits: Tensor,
                embeddings: Tensor,
                batch_data_samples: List,
                rescale: bool = True) -> List[dict]:
        """Return the results of `predict` for given logits and embeddings.

        Args:
            logits: (B, C, h, w) class logits.
            embeddings: (B, D, h, w) embeddings, as `embed` returns them.
            batch_data_samples: Data samples of the images.
            rescale: Whether results have the original size of the image
                rather than that of the input without its padding.
        """
        return [
            self.panoptic_of(maps) for maps in maps_of_images(
                logits, embeddings, batch_data_samples, rescale)]

    def panoptic_of(self, maps: ImageMaps) -> dict:
        """Return the panoptic map and the instances of one image."""
        raise NotImplementedError
