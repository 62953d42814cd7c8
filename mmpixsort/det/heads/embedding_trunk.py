"""The part that all heads share: features to logits and embeddings.

Shapes: B images, C classes, D embedding dims.
"""
from typing import NamedTuple, Optional, Sequence, Tuple, Union

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from mmpixsort.datasets.panoptic_maps import VOID
from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.segments.clustering import pixel_locations
from mmpixsort.layers import select_feature, tap
from mmpixsort.layers.head_parts import read_fields
from mmpixsort.registry import MODELS

COORDINATES = ('relative', 'absolute')
UNIT = 64  # cells in one unit of the absolute coordinates


class Trunk(NamedTuple):
    """Options of the layers between the input and the branches of a head.

    Attributes:
        decoder: Config of a decode head of MMSegmentation, with
            `_scope_='mmseg'`. Its logits become those of the semantic
            branch, and the input of its classifier, which must have
            `in_channels` channels, is the feature that is embedded. None
            takes the feature from the backbone or neck.
        channels: Number of channels of the convolutions.
        num_convs: Number of 3 x 3 convolutions between the feature and the
            branches, 0 or more.
        coordinates: Kind of the coordinates y and x that are appended to the
            feature, as the paper does for leaves. 'relative' coordinates
            span [-0.5, 0.5] over the map. 'absolute' coordinates count cells
            of the map in units of 64, so that training crops and larger test
            images have one scale. None appends nothing.
        norm_cfg: Config of the normalisation after each convolution.
        isolated: Whether the loss of the embedding must not change the
            classes. If True, the embedding branch has convolutions of its
            own, and its gradient stops at the feature.
    """

    decoder: Optional[dict] = None
    channels: int = 64
    num_convs: int = 1
    coordinates: Optional[str] = None
    norm_cfg: Optional[dict] = dict(type='BN')
    isolated: bool = False

    def check(self) -> 'Trunk':
        """Return the options, or raise ValueError on a bad value."""
        check_count('trunk.channels', self.channels)
        check_count('trunk.num_convs', self.num_convs, minimum=0)
        if self.coordinates is not None:
            check_choice('trunk.coordinates', self.coordinates, COORDINATES)
        return self


class EmbeddingTrunk(BaseModule):
    """Base class of heads with a semantic branch and an embedding branch.

    Args:
        in_channels: Number of channels of the feature that is embedded.
        num_outputs: Number of output channels of the semantic branch.
        in_index: Index of the level of the backbone or neck, or indices of
            levels to resize to the first one and concatenate. It is not used
            with a decoder.
        embed_dims: Number of embedding dimensions D.
        trunk: Fields of :class:`Trunk`.
    """

    # Whether `embed` returns unit vectors, which are compared by cosine.
    # Other embeddings are compared by distance, so their length matters.
    unit_embeddings = False

    def __init__(self, *, in_channels: int, num_outputs: int,
                 in_index: Union[int, Sequence[int]], embed_dims: int,
                 trunk: dict) -> None:
        super().__init__()
        check_count('in_channels', in_channels)
        check_count('embed_dims', embed_dims)
        parts = read_fields(Trunk, 'trunk', trunk).check()
        self.in_channels = in_channels
        self.in_index = in_index
        self.coordinates = parts.coordinates
        self.decoder = None if parts.decoder is None else _build_decoder(
            parts.decoder, num_outputs)
        self.isolated = parts.isolated
        width = in_channels + (0 if parts.coordinates is None else 2)
        self.convs = _build_convs(parts, width)
        # a decoder has layers of its own for the classes
        self.embed_convs = _build_convs(parts, width) if (
            self.isolated and self.decoder is None) else None
        width = parts.channels if parts.num_convs else width
        self.conv_embed = nn.Conv2d(width, embed_dims, 1)
        self.conv_seg = None if self.decoder is not None else nn.Conv2d(
            width, num_outputs, 1)

    def forward(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """Return logits (B, C, h, w) and embeddings (B, D, h, w)."""
        logits = None
        if self.decoder is None:
            feature = select_feature(inputs, self.in_index, self.in_channels)
        else:
            with tap(self.decoder.conv_seg) as calls:
                logits = self.decoder(inputs)
            feature = select_feature(calls[-1][0], 0, self.in_channels)
        if self.coordinates is not None:
            places = cell_coordinates(feature, self.coordinates)
            feature = torch.cat([feature, places], 1)
        own = feature.detach() if self.isolated else feature
        if logits is not None:
            return logits, self.conv_embed(self.convs(own))
        feature = self.convs(feature)
        own = self.embed_convs(own) if self.isolated else feature
        return self.conv_seg(feature), self.conv_embed(own)


def cell_coordinates(feature: Tensor, kind: str) -> Tensor:
    """Return the coordinates y, x (B, 2, h, w) of the cells of a feature.

    Args:
        feature: (B, C, h, w).
        kind: 'relative' or 'absolute', see :class:`Trunk`.
    """
    size = feature.shape[2:]
    places = pixel_locations(size, device=feature.device)
    if kind == 'absolute':
        for place, side in zip(places.add_(.5), size):
            place.mul_(side - 1).div_(UNIT)
    return places.to(feature.dtype).expand(len(feature), -1, -1, -1)


def _build_convs(trunk: Trunk, width: int) -> nn.Sequential:
    """Build the convolutions of a branch for `width` input channels."""
    widths = [width] + [trunk.channels] * trunk.num_convs
    return nn.Sequential(*(
        ConvModule(before, after, 3, padding=1, norm_cfg=trunk.norm_cfg)
        for before, after in zip(widths, widths[1:])))


def _build_decoder(config: dict, num_outputs: int) -> nn.Module:
    """Build a decode head of MMSegmentation.

    Raises:
        ValueError: If it has no classifier `conv_seg`, or a number of
            classes other than `num_outputs`.
    """
    decoder = MODELS.build(config)
    if getattr(decoder, 'conv_seg', None) is None:
        raise ValueError('`decoder` must be a decode head with `conv_seg`, '
                         f'got {type(decoder).__name__}')
    if decoder.num_classes != num_outputs:
        raise ValueError(
            f'`num_classes` of the decoder must be {num_outputs}, the number '
            f'of semantic classes of the head, got {decoder.num_classes}')
    return decoder


def semantic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of the labelled pixels, 0 if none.

    Args:
        logits: (B, C, H, W) class logits.
        labels: (B, H, W) int64 classes in [0, C); 255 is void.
    """
    known = (labels != VOID).sum().clamp(min=1)
    return cross_entropy(
        logits.float(), labels, ignore_index=VOID, reduction='sum') / known


def resize_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps (B, C, h, w) resized bilinearly to `size` (H, W)."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return interpolate(
        maps, size=tuple(size), mode='bilinear', align_corners=False)
