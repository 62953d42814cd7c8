"""Backends that cluster the embeddings of an image into instances.

Shapes: H W size, N pixels to cluster, D embedding dims, K instances.
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
# Limit of the search of mean shift. With 8 dims it takes about 15 s on one
# CPU core; with learned embeddings it is enough for 3000 instances in an
# image of 512 x 512 pixels.
MAX_VISITS = 2**32


class ClusterBackend(nn.Module, ABC):
    """Base class of the backends that cluster embeddings into instances.

    It draws a sample of the pixels, has a subclass cluster the sample in
    :meth:`cluster_points`, assigns the other pixels to the nearest centre,
    and turns small instances into noise.

    Args:
        min_pixels: Minimum number of pixels of an instance; smaller ones
            become noise.
        max_points: Maximum number of pixels that are clustered. They are
            drawn at random, in every call in the same way. None clusters all
            pixels.
        max_distance: Distance from the nearest centre beyond which a pixel
            that was not drawn is noise; None does not limit it.
        split_components: Whether parts of a cluster that do not touch become
            separate instances. Use it if the image is much larger than the
            receptive field of the network, so that distant instances may
            have equal embeddings.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If a number is out of range.
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
        """Cluster points into instances.

        Args:
            points: (N, D) finite float32 points; N is at least 1.
            min_pixels: Minimum number of points of an instance, already
                scaled to the sample. Smaller instances may be returned; they
                are removed later.
            share: Fraction in (0, 1] of the pixels to cluster that was
                drawn. A subclass must scale its own numbers of pixels by it.

        Returns:
            Labels (N,) in [0, K] in any order, 0 for noise, and the centres
            (K, D), on the device of `points`.
        """

    @torch.no_grad()
    def cluster(self, embeddings: Tensor) -> Clusters:
        """Return the instances of embeddings (N, D), with label 0 for noise.

        Pixels with an embedding that is not finite are noise.
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
        """Cluster a sample and assign the other points to its centres."""
        count = len(points)
        if self.max_points is None or count <= self.max_points:
            return self.cluster_points(points, self.min_pixels, 1.)
        generator = torch.Generator().manual_seed(0)
        # drawn on the CPU, so that every device gets the same sample
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
            embeddings: (D, H, W) floating tensor.
            mask: (H, W) bool mask of the pixels to cluster, such as those of
                a class of things.

        Returns:
            (H, W) int32 instances, numbered from 1 to K by decreasing size;
            0 for noise and pixels outside `mask`.

        Raises:
            TypeError: If `mask` is not bool.
            ValueError: If a shape or the dtype of `embeddings` is wrong.
            ImportError: If `split_components` is set and scipy or
                scikit-image is missing.
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

    It runs on the device of the embeddings and needs no extra packages.

    Args:
        bandwidth: Radius of an instance around its centre, above 0. Use
            delta_dist of the discriminative loss, as in the released code of
            the authors of https://arxiv.org/abs/1708.02551.
        num_seeds: Number of seeds of a round.
        num_iters: Maximum number of steps of a seed.
        tolerance: Length of a step, 0 or more, at which a seed stops.
        min_pixels: Minimum number of pixels of an instance.
        min_purity: Fraction in [0, 1) of the pixels of a new instance that
            no other instance owns; the instance must exceed it.
        max_instances: Maximum number of instances K; None does not limit it.
        max_failures: Number of consecutive rounds without a new instance
            after which the search stops.
        max_visits: Number of pixels that all seeds may visit in all steps.
            Then the search stops with the instances found so far; this is
            logged once. None does not limit it. With learned embeddings, an
            instance takes about 5 visits per pixel of the image; with those
            of an untrained network, an image would take minutes.
        reassign: Label of pixels farther than `bandwidth` from all centres:
            'none' makes them noise, 'nearest' assigns the nearest centre.
        max_points: Maximum number of pixels that are clustered; None
            clusters all pixels.
        split_components: Whether parts of a cluster that do not touch become
            separate instances.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If an option is out of range.

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
        # a call with one point checks the options
        self.cluster_points(torch.zeros(1, 1), 1, 1.)

    def cluster_points(self, points: Tensor, min_pixels: int,
                       share: float) -> Clusters:
        """Cluster points by mean shift; see :class:`ClusterBackend`."""
        return seed_mean_shift(
            points, min_pixels=min_pixels, report=self._report,
            **self.options)

    def _report(self, text: str) -> None:
        """Log the warning about `max_visits` the first time it occurs."""
        if not self.has_reported:
            print_log(f'{text}; this is logged once', 'current', WARNING)
        self.has_reported = True


@MODELS.register_module()
class SklearnBackend(ClusterBackend):
    """Cluster by scikit-learn on the CPU.

    The defaults fit embeddings of the discriminative loss with delta_var
    0.5 and delta_dist 1.5, whose instances are balls of diameter 1 with gaps
    of 2. All lengths are in units of the embeddings. All numbers of pixels
    are for the whole image; if `max_points` draws a fraction of the pixels,
    they are multiplied by this fraction, but not below 2. An instance with
    fewer than two pixels in the sample is not found; in that case increase
    `max_points`.

    Args:
        method: 'hdbscan', 'meanshift' or 'dbscan'.
        min_cluster_size: Minimum number of pixels of a cluster of 'hdbscan',
            2 or more; None uses `min_pixels`, but at least 2.
        cluster_selection_epsilon: Distance below which 'hdbscan' joins
            clusters, 0 or more. With 0, an image of a single instance may
            become noise.
        min_samples: Number of pixels, including itself, in the
            neighbourhood of a core point. None uses `min_cluster_size` for
            'hdbscan', and 5 but at most `min_pixels` for 'dbscan'.
        bandwidth: Bandwidth of 'meanshift', above 0.
        eps: Maximum distance of two neighbours in a cluster of 'dbscan',
            above 0.
        min_pixels: Minimum number of pixels of an instance.
        max_points: Maximum number of pixels that are clustered; None
            clusters all pixels. In many dimensions, time and memory grow
            with its square.
        max_distance: Distance from the nearest centre beyond which a pixel
            that was not drawn is noise; None does not limit it.

    Raises:
        TypeError: If a number has the wrong type.
        ValueError: If an option is out of range.
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
        """Cluster points by scikit-learn; see :class:`ClusterBackend`.

        Raises:
            ImportError: If scikit-learn is missing.
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
        """Return labels (N,) of values (N, D) by HDBSCAN, -1 for noise.

        The clusters found without an epsilon are joined where they share a
        cluster of the cut at the epsilon. The option of scikit-learn for
        this fails with recent versions of NumPy whenever it joins clusters.
        """
        size = self.min_cluster_size or max(2, self.min_pixels)
        core = _shrink(self.min_samples or size, share)
        size = _shrink(size, share)
        if len(values) < max(size, core):  # scikit-learn would raise
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
        # a single cluster would contain all points, even distant ones
        return _join(estimator.labels_, near) if (
            estimator.labels_.max() > 0) else near


def _shrink(number: int, share: float) -> int:
    """Scale a number of pixels by `share`, but not below 2 or itself."""
    return max(min(number, 2), int(number * share))


def _join(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Join clusters of two partitions that share a point; -1 is noise."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    count = first.max() + 1
    both = (first >= 0) & (second >= 0)
    nodes = count + second.max() + 1
    shared = coo_array(
        (both[both], (first[both], count + second[both])),
        shape=(nodes, nodes))
    numbers = connected_components(shared, directed=False)[1]
    # the last entry, -1, is for points that are noise in both
    numbers = np.append(numbers, -1)
    return np.where(first >= 0, numbers[first],
                    numbers[np.where(second >= 0, count + second, -1)])


def _one_of_each_bin(points: Tensor, width: float) -> Tensor:
    """Return one point (M, D) of each occupied cell of a grid.

    Scikit-learn would start from the centres of the cells. In many
    dimensions these may be farther than `width` from all points of the cell.
    """
    cells = torch.unique((points / width).round(), dim=0, return_inverse=True)
    places = torch.arange(len(points), device=points.device)
    first = places.new_full((len(cells[0]), ), len(points)).scatter_reduce(
        0, cells[1], places, 'amin')
    return points[first]


def _means(points: Tensor, labels: Tensor) -> Tensor:
    """Return the means (K, D) of the points with the labels 1 to K."""
    sizes = labels.bincount()
    sums = points.new_zeros(len(sizes), points.shape[1])
    sums.index_add_(0, labels, points)
    return (sums / sizes.clamp(min=1)[:, None])[1:]


def _import_cluster():
    """Import `sklearn.cluster`, an optional dependency.

    Raises:
        ImportError: If scikit-learn is missing.
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
            '(B, D, H, W) must be clustered image by image')
    if mask.dtype != torch.bool:
        raise TypeError(f'`mask` must be bool, got {mask.dtype}; convert an '
                        'instance map with `> 0`')
    if mask.shape != embeddings.shape[1:]:
        raise ValueError(
            f'`mask` must have shape {tuple(embeddings.shape[1:])}, got '
            f'{tuple(mask.shape)}')
