"""Cut the embeddings of one image into instances.

Shapes: H W size, N pixels that take part, D embedding dims, K instances.
"""
from abc import ABC, abstractmethod
from logging import WARNING
from typing import Optional

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_non_negative, check_positive)
from mmpixsort.functional.instances.clusters import (Clusters, assign_nearest,
                                                     keep_large)
from mmpixsort.functional.instances.meanshift import (REASSIGN,
                                                      seed_mean_shift)
from mmpixsort.registry import MODELS
from mmpixsort.utils.extras import extra_error

from .mask_backends import components_of_ids

METHODS = ('hdbscan', 'meanshift', 'dbscan')
# Of mean shift: about 15 s of one core of a CPU, with 8 dims, and 3000
# instances of 512 x 512 pixels where they are learned.
MAX_VISITS = 2**32


class ClusterBackend(nn.Module, ABC):
    """What all backends do: sub-sample, propagate, drop the small.

    A subclass says how points become clusters in :meth:`cluster_points`.

    Args:
        min_pixels: Instances with fewer become noise.
        max_points: At most so many pixels are clustered, drawn at random
            and always the same; None: all. The others get the label of the
            nearest centre.
        max_distance: Those of the others that are farther from every centre
            are noise; None: no limit.
        split_components: Whether parts of a cluster that do not touch are
            instances of their own: embeddings of a network that sees a part
            of the image repeat themselves over a large one.

    Raises:
        TypeError, ValueError: On values out of range.
    """

    def __init__(self,
                 *,
                 min_pixels: int,
                 max_points: Optional[int],
                 max_distance: Optional[float] = None,
                 split_components: bool = False) -> None:
        super().__init__()
        check_count('min_pixels', min_pixels)
        if max_points is not None:
            check_count('max_points', max_points)
        if max_distance is not None:
            check_positive('max_distance', max_distance)
        self.min_pixels = min_pixels
        self.max_points = max_points
        self.max_distance = max_distance
        self.split_components = split_components

    @abstractmethod
    def cluster_points(self, points: Tensor, min_pixels: int,
                       share: float) -> Clusters:
        """Cluster finite points, all of them.

        Args:
            points: (N, D) float32, N at least 1.
            min_pixels: Fewest pixels of an instance among these points, fewer
                than those of the image after sub-sampling; the rest is cleaned
                later.
            share: Number of these points per pixel of the image, in (0, 1]:
                1 without sub-sampling. What a subclass counts in pixels of
                the image shrinks by this factor, as `min_pixels` has done.

        Returns:
            Labels in [0, K], in any order, on the device of `points`.
        """

    @torch.no_grad()
    def cluster(self, embeddings: Tensor) -> Clusters:
        """Return instances of embeddings (N, D), 0: noise.

        A pixel that is not finite is noise.
        """
        labels = embeddings.new_zeros(len(embeddings), dtype=torch.long)
        kept = embeddings.isfinite().all(1).nonzero().flatten()
        points = embeddings[kept].float()
        if not len(points):
            return Clusters(labels, points)
        found = self._cluster_sample(points)
        labels[kept] = found.labels
        return keep_large(
            Clusters(labels, found.centers), min_pixels=self.min_pixels)

    def _cluster_sample(self, points: Tensor) -> Clusters:
        """Cluster some points and give the others the nearest centre."""
        count = len(points)
        if self.max_points is None or count <= self.max_points:
            return self.cluster_points(points, self.min_pixels, 1.)
        generator = torch.Generator().manual_seed(0)
        # on the CPU, so that every device draws the same
        drawn = torch.randperm(count, generator=generator)[:self.max_points]
        sample = drawn.sort().values.to(points.device)
        share = self.max_points / count
        found = self.cluster_points(
            points[sample], max(1, int(self.min_pixels * share)), share)
        labels = assign_nearest(
            points, found.centers, max_distance=self.max_distance)
        labels[sample] = found.labels
        return Clusters(labels, found.centers)

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return the instance map of one image.

        Args:
            embeddings: (D, H, W).
            mask: (H, W) bool, pixels that take part: those of a thing class,
                say.

        Returns:
            (H, W) int32, 1 to K by decreasing size; 0 where `mask` is not,
            and for noise.

        Raises:
            TypeError, ValueError: On wrong shapes or types.
        """
        _check_maps(embeddings, mask)
        instances = mask.new_zeros(mask.shape, dtype=torch.int32)
        instances[mask] = self.cluster(embeddings[:, mask].T).labels.int()
        if self.split_components:
            return components_of_ids(instances, self.min_pixels)
        return instances


@MODELS.register_module()
class MeanShiftBackend(ClusterBackend):
    """Cluster by :func:`mmpixsort.functional.seed_mean_shift`.

    On the device of the embeddings, nothing to install.

    Args:
        bandwidth: Radius of an instance around its centre; delta_dist of
            the discriminative loss, as in the code of the authors of
            https://arxiv.org/abs/1708.02551.
        num_seeds: Number of seeds of a round.
        num_iters: Steps of a seed at most.
        tolerance: Step length at which a seed stands.
        min_pixels: Fewest pixels of an instance.
        min_purity: An instance joins when more than this share of its
            pixels is not owned by those before.
        max_instances: K at most; None: any.
        max_failures: Rounds in a row without a new instance, then it stops.
        max_visits: Pixels that all seeds look at in all steps before the
            search stops with what it has, which is logged the first time;
            None: any number. Embeddings of a network that has learned its
            task need less, about 5 times the pixels for an instance; those
            of one that has not would take minutes an image.
        reassign: Pixels farther than `bandwidth` from all centres: 'none':
            noise; 'nearest': go to the nearest.
        max_points: Pixels that are clustered at most; None: all.
        split_components: See :class:`ClusterBackend`.

    Raises:
        TypeError, ValueError: On values out of range.

    Example:
        >>> columns = torch.tensor([0., 0., 5., 5.]).expand(1, 3, 4)
        >>> mask = torch.ones(3, 4, dtype=torch.bool)
        >>> mask[:, 0] = False
        >>> MeanShiftBackend(min_pixels=1)(columns, mask)[0]
        tensor([0, 2, 1, 1], dtype=torch.int32)
    """

    def __init__(self,
                 *,
                 bandwidth: float = 1.5,
                 num_seeds: int = 128,
                 num_iters: int = 100,
                 tolerance: float = 1e-4,
                 min_pixels: int = 10,
                 min_purity: float = .5,
                 max_instances: Optional[int] = None,
                 max_failures: int = 5,
                 max_visits: Optional[int] = MAX_VISITS,
                 reassign: str = 'none',
                 max_points: Optional[int] = None,
                 split_components: bool = False) -> None:
        check_positive('bandwidth', bandwidth)
        check_choice('reassign', reassign, REASSIGN)
        super().__init__(
            min_pixels=min_pixels,
            max_points=max_points,
            max_distance=bandwidth if reassign == 'none' else None,
            split_components=split_components)
        self.options = dict(
            bandwidth=bandwidth,
            num_seeds=num_seeds,
            num_iters=num_iters,
            tolerance=tolerance,
            min_purity=min_purity,
            max_instances=max_instances,
            max_failures=max_failures,
            max_visits=max_visits,
            reassign=reassign)
        self.has_reported = False
        # the function knows what is out of range
        self.cluster_points(torch.zeros(1, 1), 1, 1.)

    def cluster_points(self, points: Tensor, min_pixels: int,
                       share: float) -> Clusters:
        """See :class:`ClusterBackend`."""
        return seed_mean_shift(
            points, min_pixels=min_pixels, report=self._report,
            **self.options)

    def _report(self, text: str) -> None:
        """Log what was cut, the first time."""
        if not self.has_reported:
            print_log(f'{text}; said once', 'current', WARNING)
        self.has_reported = True


@MODELS.register_module()
class SklearnBackend(ClusterBackend):
    """Clustering by scikit-learn, on the CPU.

    The defaults fit embeddings of the discriminative loss with delta_var
    0.5 and delta_dist 1.5, whose instances are balls of diameter 1 with gaps
    of 2. All lengths are of embeddings. All numbers of points are those of
    the image: where `max_points` draws a share of its pixels, they shrink by
    this share, to 2 at least. An instance of which the draw holds fewer than
    two pixels is not found; a larger `max_points` finds it.

    Args:
        method: 'hdbscan', 'meanshift' or 'dbscan'.
        min_cluster_size: Pixels of a cluster of 'hdbscan', 2 or more; None:
            `min_pixels`, or 2 where that is 1.
        cluster_selection_epsilon: Distance of 'hdbscan': clusters nearer than
            this are one. Without it an image of a single instance becomes
            noise.
        min_samples: Points around a core point, itself included: of
            'hdbscan', None: `min_cluster_size`; of 'dbscan', None: 5, or
            `min_pixels` where that is less.
        bandwidth: Bandwidth of 'meanshift'.
        eps: Largest distance of two neighbours in a cluster of 'dbscan'.
        min_pixels: Fewest pixels of an instance.
        max_points: Pixels that are clustered at most; None: all. Time and
            memory grow with their square in many dimensions.
        max_distance: Other pixels farther from every centre are noise; None:
            no limit.

    Raises:
        TypeError, ValueError: On values out of range.
    """

    def __init__(self,
                 *,
                 method: str = 'hdbscan',
                 min_cluster_size: Optional[int] = None,
                 cluster_selection_epsilon: float = 1.,
                 min_samples: Optional[int] = None,
                 bandwidth: float = 1.5,
                 eps: float = .5,
                 min_pixels: int = 10,
                 max_points: Optional[int] = 10000,
                 max_distance: Optional[float] = None) -> None:
        super().__init__(
            min_pixels=min_pixels,
            max_points=max_points,
            max_distance=max_distance)
        check_choice('method', method, METHODS)
        if min_cluster_size is not None:
            check_count('min_cluster_size', min_cluster_size, minimum=2)
        check_non_negative('cluster_selection_epsilon',
                           cluster_selection_epsilon)
        if min_samples is not None:
            check_count('min_samples', min_samples)
        check_positive('bandwidth', bandwidth)
        check_positive('eps', eps)
        self.method = method
        self.min_cluster_size = min_cluster_size
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.min_samples = min_samples
        self.bandwidth = bandwidth
        self.eps = eps

    def cluster_points(self, points: Tensor, min_pixels: int,
                       share: float) -> Clusters:
        """See :class:`ClusterBackend`.

        Raises:
            ImportError: When scikit-learn is missing.
        """
        cluster = _import_cluster()
        values = points.cpu().numpy()
        if self.method == 'hdbscan':
            found = self._hdbscan(cluster, values, share)
        elif self.method == 'dbscan':
            core = self.min_samples or min(5, self.min_pixels)
            found = cluster.DBSCAN(
                eps=self.eps, min_samples=_shrink(core, share)).fit_predict(
                    values)
        else:
            found = cluster.MeanShift(
                bandwidth=self.bandwidth,
                seeds=_one_of_each_bin(points, self.bandwidth).cpu().numpy(),
                cluster_all=False).fit_predict(values)
        labels = torch.from_numpy(found).to(points.device).long() + 1
        return Clusters(labels, _means(points, labels))

    def _hdbscan(self, cluster, values, share: float):
        """Return labels (N,) of `values` (N, D), arrays; -1: noise.

        Clusters that scikit-learn finds without an epsilon are joined by
        those of its cut at the epsilon. Its own option fails with recent
        versions of NumPy wherever it would join two.
        """
        size = self.min_cluster_size or max(2, self.min_pixels)
        core = _shrink(self.min_samples or size, share)
        size = _shrink(size, share)
        if len(values) < max(size, core):  # it refuses so few
            return np.full(len(values), -1)
        estimator = cluster.HDBSCAN(
            min_cluster_size=size,
            min_samples=core,
            allow_single_cluster=True,
            copy=True).fit(values)
        epsilon = self.cluster_selection_epsilon
        if not epsilon:
            return estimator.labels_
        near = estimator.dbscan_clustering(epsilon, size)
        # a single cluster is all there is, whatever the distances
        return _join(estimator.labels_, near) if (
            estimator.labels_.max() > 0) else near


def _shrink(number: int, share: float) -> int:
    """Return a number of pixels among a share of them: 2 at least, or it."""
    return max(min(number, 2), int(number * share))


def _join(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Join the clusters of two partitions that share a point; -1: noise."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    count = first.max() + 1
    both = (first >= 0) & (second >= 0)
    nodes = count + second.max() + 1
    shared = coo_array(
        (both[both], (first[both], count + second[both])),
        shape=(nodes, nodes))
    numbers = connected_components(shared, directed=False)[1]
    # one more for the noise of both
    numbers = np.append(numbers, -1)
    return np.where(first >= 0, numbers[first],
                    numbers[np.where(second >= 0, count + second, -1)])


def _one_of_each_bin(points: Tensor, width: float) -> Tensor:
    """Return one point of each occupied cell of a grid, (M, D).

    The middles of the cells, from which scikit-learn would start, lie
    farther than `width` from every point of a cell in many dims.
    """
    cells = torch.unique((points / width).round(), dim=0, return_inverse=True)
    places = torch.arange(len(points), device=points.device)
    first = places.new_full((len(cells[0]), ), len(points)).scatter_reduce(
        0, cells[1], places, 'amin')
    return points[first]


def _means(points: Tensor, labels: Tensor) -> Tensor:
    """Return the means (K, D) of the points labelled 1 to K."""
    sizes = labels.bincount()
    sums = points.new_zeros(len(sizes), points.shape[1])
    sums.index_add_(0, labels, points)
    return (sums / sizes.clamp(min=1)[:, None])[1:]


def _import_cluster():
    """Return sklearn.cluster, an extra.

    Raises:
        ImportError: When scikit-learn is missing.
    """
    try:
        from sklearn import cluster
    except ImportError as error:
        raise extra_error('this clustering needs scikit-learn', 'instances',
                          error, 'MeanShiftBackend works without it'
                          ) from error
    return cluster


def _check_maps(embeddings: Tensor, mask: Tensor) -> None:
    if embeddings.dim() != 3 or not embeddings.is_floating_point():
        raise ValueError(
            '`embeddings` must be a floating tensor of shape (D, H, W), got '
            f'{embeddings.dtype} of shape {tuple(embeddings.shape)}; a batch '
            '(B, D, H, W) is clustered image by image')
    if mask.dtype != torch.bool:
        raise TypeError(f'`mask` must be bool, got {mask.dtype}; of an '
                        'instance map take `> 0`')
    if mask.shape != embeddings.shape[1:]:
        raise ValueError(
            f'`mask` must have shape {tuple(embeddings.shape[1:])}, got '
            f'{tuple(mask.shape)}')
