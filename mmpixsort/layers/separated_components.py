"""Components of a mask, cut only where their embeddings differ.

Shapes: H W size, N pixels of the mask, D embedding dims, P pieces.
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
    """Cut a mask by its shape, and undo the cuts that embeddings deny.

    A watershed of the distance to the border proposes cuts, more of them
    than needed; two pieces that touch are one instance again where the means
    of their embeddings lie within `margin`, the nearest pair first. So a cut
    needs both cues: a narrow place, and embeddings that differ. With
    `join_margin`, pieces of one instance that do not touch, such as leaves
    of a plant, are joined as well.

    Args:
        margin: Distance of mean embeddings up to which pieces that touch are
            one. With the discriminative loss, means of one instance lie
            within 2 * delta_var and those of two beyond 2 * delta_dist.
        join_margin: Distance up to which pieces that do not touch are one;
            None: they stay apart.
        max_gap: Distance in pixels up to which pieces are joined; None: any.
        min_distance: Least distance, in pixels, of the peaks that the
            watershed starts from; the smaller, the more cuts are proposed.
        smoothing: Sigma of the distance map, pixels.
        min_pixels: Smaller instances are left out.

    Raises:
        ImportError: Without scipy and scikit-image.
        ValueError: On values out of range.

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
        """Return the instance map (H, W) int32, 1, 2, ... by size.

        Args:
            embeddings: (D, H, W).
            mask: (H, W) bool, pixels that take part.
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

    Args:
        pieces: (H, W) ids 1 to P, each of some pixels, 0: no piece.
        points: (H, W, D) embeddings.
        margin: Distance of means up to which pieces that touch merge.
        join_margin: The same for pieces that do not touch; None: never.
        max_gap: Pixels between two pieces up to which `join_margin` holds;
            None: any.

    Returns:
        (H, W) ids from 1 on, 0 where `pieces` is 0.

    Raises:
        ImportError: Without scikit-image.
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
    """Return the distance of two pieces as a share of a margin."""
    first, second = graph.nodes[one], graph.nodes[other]
    distance = np.linalg.norm(
        first['sum'] / first['size'] - second['sum'] / second['size'])
    return dict(weight=distance / margin, margin=margin)


def _merge(graph, source: int, target: int) -> None:
    for key in ('sum', 'size'):
        graph.nodes[target][key] = (
            graph.nodes[target][key] + graph.nodes[source][key])


def _merged_edge(graph, source: int, target: int, neighbor: int) -> dict:
    """A merged piece touches what one of the two touched."""
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
    """Return skimage.graph, an extra.

    Raises:
        ImportError: When scikit-image is missing.
    """
    try:
        from skimage import graph
    except ImportError as error:
        raise extra_error('merging pieces of masks needs scikit-image',
                          'instances', error) from error
    return graph
