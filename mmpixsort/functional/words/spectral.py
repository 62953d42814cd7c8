"""Spectral embedding of feature maps by eigenvectors of a graph Laplacian.

Shapes: B images, C channels, h w size of a grid, P = h * w patches, K
vectors.

Ng, Jordan, Weiss, "On Spectral Clustering: Analysis and an algorithm", NIPS
2001, with the affinity max(f . f', 0) between patches.
"""
from typing import Optional

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_count, check_mask
from mmpixsort.functional.precision import autocast_off
from mmpixsort.functional.segments.clustering import check_map

# 28 x 28 patches; the decomposition of a P x P matrix takes O(P^3)
MAX_PATCHES = 784
# Eigenvalue of patches without neighbours: below all those of a normalised
# affinity, which lie in [-1, 1], so that their vectors come last.
APART = -2.


@torch.no_grad()
def spectral_embedding(features: Tensor,
                       *,
                       num_vectors: int,
                       valid: Optional[Tensor] = None) -> Tensor:
    r"""Return the first eigenvectors of the normalised graph Laplacian.

    .. math::
        W_{ij} = \max(f_i \cdot f_j, 0), \qquad
        L = I - D^{-1/2} W D^{-1/2}, \qquad D_{ii} = \sum_j W_{ij}

    where f are the normalised features. The embeddings of patches in well
    separated groups are orthogonal, so spherical k-means
    (:func:`mmpixsort.functional.spherical_kmeans`) finds the groups. The
    sign of a vector is arbitrary and does not change the cosines between
    patches. The computation runs in float64 and has no gradient.

    Args:
        features: (B, C, h, w) features, which are normalised here.
        num_vectors: K, number of eigenvectors; at most P are returned.
        valid: (B, h, w) bool mask of the patches that are used; the features
            of other patches do not matter. None uses all patches.

    Returns:
        (B, min(K, P), h, w) eigenvectors in the order of increasing
        eigenvalues. Patches that are not used are zero.

    Raises:
        ValueError: If a shape is wrong or there are more than 784 patches.

    Example:
        >>> features = torch.tensor([[1., 1., 0.], [0., 0., 1.]])
        >>> vectors = spectral_embedding(
        ...     features.view(1, 2, 1, 3), num_vectors=2)[0, :, 0]
        >>> (vectors.T @ vectors)[0].abs() > 1e-6
        tensor([ True,  True, False])
    """
    check_map(features)
    check_count('num_vectors', num_vectors)
    batch, _, *size = features.shape
    count = size[0] * size[1]
    if count > MAX_PATCHES:
        raise ValueError(
            f'`features` must have at most {MAX_PATCHES} patches for '
            f'eigenvectors, got {size[0]} x {size[1]} = {count}; use smaller '
            "images, a larger stride, or method='kmeans'")
    with autocast_off(features.device):
        rows = features.flatten(2).transpose(1, 2).double()
        if valid is not None:
            check_mask('valid', valid, (batch, *size))
            rows = rows.masked_fill(~valid.flatten(1)[..., None], 0.)
        rows = normalize(rows, dim=2)
        affinity = (rows @ rows.transpose(1, 2)).clamp_(min=0)
        degree = affinity.sum(2)
        apart = degree == 0
        scale = degree.masked_fill(apart, 1.).rsqrt()
        affinity.mul_(scale[:, :, None]).mul_(scale[:, None])
        affinity.diagonal(dim1=1, dim2=2).masked_fill_(apart, APART)
        # the largest eigenvalues of the affinity are the smallest ones of
        # the Laplacian
        vectors = torch.linalg.eigh(affinity).eigenvectors.flip(2)
        vectors = vectors[:, :, :num_vectors].masked_fill(
            apart[..., None], 0.)
    dtype = torch.promote_types(features.dtype, torch.float32)
    return vectors.to(dtype).transpose(1, 2).reshape(batch, -1, *size)
