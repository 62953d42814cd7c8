"""Instances from the shape of a mask, cut only where embeddings differ.

Shapes: H W size, D embedding dims, P pieces.
"""
from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count, check_positive
from mmpixsort.registry import MODELS
from mmpixsort.utils.extras import extra_error

from .mask_backends import ComponentsBackend, number_by_size


@MODELS.register_module()
class SeparatedComponentsBackend(nn.Module):
    """Cut a mask by its shape and merge pieces with similar embeddings.

    A watershed on the distance to the border cuts the mask into more pieces
    than needed. Pieces that touch are then merged if the distance of their
    mean embeddings is below `margin`, the nearest pair first. So a cut stays
    only at a narrow place where the embeddings differ. With `join_margin`,
    pieces that do not touch, such as the leaves of a plant, can be merged as
    well.

    Args:
        margin: Distance of mean embeddings below which two pieces that touch
            are merged, above 0. If the discriminative loss is zero, the
            means of pieces of one instance lie within 2 * delta_var, and
            those of two instances are at least 2 * (delta_dist - delta_var)
            apart.
        join_margin: The same distance for pieces that do not touch, above 0;
            None never merges them.
        max_gap: Distance in pixels up to which pieces that do not touch may
            be merged, above 0; None does not limit it.
        min_distance: Minimum distance, in pixels, of the peaks from which
            the watershed starts. Smaller values give more pieces.
        smoothing: Standard deviation, in pixels, of the Gaussian that
            smooths the distance map, above 0.
        min_pixels: Minimum number of pixels of an instance; smaller ones are
            removed.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If a number is out of range.
        ImportError: If scipy or scikit-image is missing.

    Example:
        >>> mask = torch.ones(1, 4, dtype=torch.bool)
        >>> columns = torch.tensor([[[0., 0., 5., 5.]]])
        >>> backend = SeparatedComponentsBackend(
        ...     margin=1., min_distance=1, smoothing=.1, min_pixels=1)
        >>> backend(columns * 0, mask).max()
        tensor(1, dtype=torch.int32)
    """

    def __init__(self,
                 *,
                 margin: float = 1.5,
                 join_margin: Optional[float] = None,
                 max_gap: Optional[float] = None,
                 min_distance: int = 3,
                 smoothing: float = 1.,
                 min_pixels: int = 10) -> None:
        super().__init__()
        check_positive('margin', margin)
        for name, value in (('join_margin', join_margin),
                            ('max_gap', max_gap)):
            if value is not None:
                check_positive(name, value)
        check_count('min_pixels', min_pixels)
        self.margin = margin
        self.join_margin = join_margin
        self.max_gap = max_gap
        self.min_pixels = min_pixels
        self.pieces = ComponentsBackend(
            watershed=True, min_distance=min_distance, smoothing=smoothing,
            min_pixels=1)

    @torch.no_grad()
    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return the instance map (H, W) int32 of one image.

        Instances are numbered from 1 by decreasing size; 0 is no instance.
        Pixels with an embedding that is not finite are in no instance.

        Args:
            embeddings: (D, H, W) floating tensor.
            mask: (H, W) bool mask of the pixels to cut into instances.
        """
        mask = mask & embeddings.isfinite().all(0)
        pieces = self.pieces(embeddings, mask).cpu().numpy()
        points = embeddings.float().permute(1, 2, 0).cpu().numpy()
        merged = merge_pieces(
            pieces, points, margin=self.margin, join_margin=self.join_margin,
            max_gap=self.max_gap)
        return torch.from_numpy(
            number_by_size(merged, self.min_pixels)).to(mask.device)


def merge_pieces(pieces: np.ndarray, points: np.ndarray, *, margin: float,
                 join_margin: Optional[float] = None,
                 max_gap: Optional[float] = None) -> np.ndarray:
    """Merge pieces whose mean embeddings are close, the closest pair first.

    If both margins are used, the closest pair is the one with the smallest
    distance relative to its margin.

    Args:
        pieces: (H, W) integer piece of each pixel, from 1 to P, 0 for none.
            Every number must occur.
        points: (H, W, D) embeddings.
        margin: Distance of mean embeddings below which pieces that touch
            are merged.
        join_margin: The same for pieces that do not touch; None never merges
            them.
        max_gap: Distance in pixels up to which `join_margin` is used; None
            does not limit it.

    Returns:
        (H, W) merged pieces, numbered from 1; 0 where `pieces` is 0.

    Raises:
        ImportError: If scikit-image is missing, or scipy with `join_margin`.
    """
    count = int(pieces.max())
    if count < 2:
        return pieces
    graph = import_skimage_graph()
    touching = graph.RAG(pieces, connectivity=2)
    if 0 in touching:
        touching.remove_node(0)
    flat = pieces.ravel()
    for number in range(1, count + 1):
        inside = points.reshape(len(flat), -1)[flat == number]
        touching.nodes[number].update(
            labels=[number], sum=inside.sum(0), size=len(inside))
    for one, other in touching.edges:
        touching.edges[one, other].update(
            _edge(touching, one, other, margin))
    if join_margin is not None:
        _add_joins(touching, pieces, join_margin, max_gap)
    merged = graph.merge_hierarchical(
        pieces, touching, thresh=1., rag_copy=False, in_place_merge=True,
        merge_func=_merge, weight_func=_merged_edge)
    return np.where(pieces > 0, merged + 1, 0)


def _edge(graph, one: int, other: int, margin: float) -> dict:
    """Return an edge, whose weight is the distance relative to a margin."""
    first, second = graph.nodes[one], graph.nodes[other]
    distance = np.linalg.norm(
        first['sum'] / first['size'] - second['sum'] / second['size'])
    return dict(weight=distance / margin, margin=margin)


def _merge(graph, source: int, target: int) -> None:
    for key in ('sum', 'size'):
        graph.nodes[target][key] = (
            graph.nodes[target][key] + graph.nodes[source][key])


def _merged_edge(graph, source: int, target: int, neighbor: int) -> dict:
    """Return the edge of a merged piece, with the larger margin of both.

    A merged piece touches a neighbour if one of its two parts did.
    """
    margin = max(graph[node][neighbor]['margin'] for node in (source, target)
                 if graph.has_edge(node, neighbor))
    return _edge(graph, target, neighbor, margin)


def _add_joins(graph, pieces: np.ndarray, join_margin: float,
               max_gap: Optional[float]) -> None:
    """Add edges between pieces that do not touch, in place."""
    from scipy import ndimage
    numbers = np.arange(1, int(pieces.max()) + 1)
    for one in numbers:
        gaps = np.zeros(len(numbers)) if max_gap is None else ndimage.minimum(
            ndimage.distance_transform_edt(pieces != one), pieces, numbers)
        near = gaps <= (max_gap or 0.)
        for other in numbers[one:][near[one:]]:
            if not graph.has_edge(one, other):
                graph.add_edge(one, other, **_edge(graph, one, other,
                                                   join_margin))


def import_skimage_graph():
    """Import `skimage.graph`, an optional dependency.

    Raises:
        ImportError: If scikit-image is missing.
    """
    try:
        from skimage import graph
    except ImportError as error:
        raise extra_error('merging pieces of masks needs scikit-image',
                          'instances', error) from error
    return graph
