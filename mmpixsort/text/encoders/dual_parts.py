"""Functions that all dual encoders share."""
from typing import Callable, Optional, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.precision import autocast_off
from mmpixsort.functional.words.regions import pool_regions, resize_ids
from mmpixsort.structures import ImageEmbeddings

MAX_SCALE = 100.


def unit_rows(rows: Tensor, valid: Optional[Tensor] = None) -> Tensor:
    """Normalise the last dimension in float32 (float64 stays float64).

    Args:
        rows: Rows (..., E).
        valid: Mask (...) of type bool; rows with False are set to 0.
    """
    with autocast_off(rows.device):
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        rows = normalize(rows, dim=-1)
        return rows if valid is None else rows.where(valid[..., None], 0.)


def embed_means(features: Tensor, project: Callable[[Tensor], Tensor],
                ids: Optional[Tensor], num_regions: int) -> ImageEmbeddings:
    """Return unit embeddings of the means of a feature map.

    Args:
        features: Feature maps (B, C, h, w).
        project: Function from means (..., C) to rows (..., E), such as a
            linear layer.
        ids: Region (B, H, W) of each pixel, an integer in [0, K), or -1 for
            a pixel in no region. None embeds no regions.
        num_regions: Number of regions K.
    """
    image = unit_rows(project(features.mean((2, 3))))
    if ids is None:
        return ImageEmbeddings(image)
    ids = resize_ids(ids, features.shape[2:], num_regions)
    means, valid = pool_regions(features, ids, num_regions)
    return ImageEmbeddings(image, unit_rows(project(means), valid), valid)


def bounded_scale(log_scale: Tensor) -> Tensor:
    """Return exp(`log_scale`), limited to at most 100 as in CLIP.

    The gradient ignores the limit. Otherwise a scale of 100, as in the
    weights of OpenAI, could never decrease.

    Example:
        >>> bounded_scale(torch.tensor(9.))
        tensor(100.)
    """
    scale = log_scale.exp()
    return scale + (scale.clamp(max=MAX_SCALE) - scale).detach()


def check_images(images: Tensor, ids: Optional[Tensor],
                 num_regions: int) -> None:
    """Raise an error unless the arguments of `encode_image` are valid."""
    if images.dim() != 4 or images.shape[1] != 3 or (
            not images.is_floating_point()):
        raise ValueError(
            '`images` must be a floating tensor of shape (B, 3, H, W), got '
            f'{images.dtype} of shape {tuple(images.shape)}')
    if ids is None:
        return
    check_count('num_regions', num_regions)
    if ids.dim() != 3 or len(ids) != len(images):
        raise ValueError(f'`ids` must have shape ({len(images)}, h, w), got '
                         f'{tuple(ids.shape)}')


def check_texts(texts: Sequence[str]) -> None:
    """Raise an error unless `texts` is a sequence of strings."""
    if isinstance(texts, str) or not all(
            isinstance(text, str) for text in texts):
        raise TypeError(f'`texts` must be a sequence of strings, got {texts!r}'
                        '; write [text] for a single text')
