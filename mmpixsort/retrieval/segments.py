"""Segment one image without annotation, for prediction by retrieval.

Shapes: D embedding dimensions, h w size of the map that is segmented, S
segments.
"""
from typing import NamedTuple, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from mmpixsort.functional.segments.prototypes import find_segments, prototypes


class ImageSegments(NamedTuple):
    """The segments of one image.

    Attributes:
        segment_ids: Segment ids (h, w), int64 in [0, S).
        prototypes: Prototypes (S, D) of the segments, unit rows.
        areas: Numbers of pixels (S,) of the segments in the map.
    """

    segment_ids: Tensor
    prototypes: Tensor
    areas: Tensor


def resize_embedding(embedding: Tensor, size: Sequence[int]) -> Tensor:
    """Resize an embedding map (D, h, w) bilinearly and normalise it."""
    if tuple(embedding.shape[1:]) != tuple(size):
        embedding = interpolate(
            embedding[None], size=tuple(size), mode='bilinear',
            align_corners=False)[0]
    return normalize(embedding, dim=0)


@torch.no_grad()
def cut_image(embedding: Tensor, segmenter: nn.Module) -> ImageSegments:
    """Segment an image that has no padding, and drop empty segments.

    Args:
        embedding: Map of unit vectors (D, h, w).
        segmenter: Module that returns segment ids (B, h, w) for maps
            (B, D, h, w).
    """
    ids = segmenter(embedding[None])[0]
    limit = segmenter.num_clusters
    found = find_segments(ids.flatten(), limit)
    means = prototypes(embedding.flatten(1).T, found.segment_ids, limit)
    count = int(found.num_found)
    return ImageSegments(
        found.segment_ids.view_as(ids), means[:count], found.areas[:count])
