"""`ClusterMatchingMetric` against every assignment."""
import math
import sys
from itertools import permutations

import pytest
import torch

from mmpixsort.metrics import ClusterMatchingMetric
from mmpixsort.metrics.cluster_matching import match_clusters

NAMES = ('road', 'car', 'tree')


def sample(clusters, truth):
    return dict(pred_sem_seg=dict(data=clusters[None]),
                gt_sem_seg=dict(data=truth[None]))


def random_set(seed, num_clusters, num_classes=3, count=3, size=(15, 17)):
    g = torch.Generator().manual_seed(seed)
    truth = torch.randint(num_classes, (count, *size), generator=g)
    names = torch.randperm(max(num_clusters, 3), generator=g)
    clusters = names[truth] % num_clusters
    noise = torch.rand(truth.shape, generator=g) < .6
    clusters[noise] = torch.randint(
        num_clusters, truth.shape, generator=g)[noise]
    truth[:, :2] = 255
    return clusters, truth


def evaluate(clusters, truth, **options):
    metric = ClusterMatchingMetric(**options)
    metric.dataset_meta = dict(classes=NAMES)
    for pair in zip(clusters, truth):
        metric.process({}, [sample(*pair)])
    return metric.evaluate(len(truth))


def best_assignment(clusters, truth, num_clusters):
    """Return accuracy and IoU of the best of all assignments."""
    valid = truth != 255
    clusters, truth = clusters[valid], truth[valid]
    # -1, -2, -3: no cluster
    names = [*range(num_clusters), -1, -2, -3][:max(num_clusters, 3)]
    best = None
    for chosen in permutations(names, 3):
        masks = [(clusters == k, truth == c) for c, k in enumerate(chosen)]
        accuracy = sum((a & b).sum() for a, b in masks) / len(truth)
        if best is None or accuracy > best[0]:
            iou = [((a & b).sum() / (a | b).sum()).item() for a, b in masks]
            best = accuracy.item(), iou
    return best


@pytest.mark.parametrize('num_clusters', [1, 2, 3, 5])
@pytest.mark.parametrize('seed', range(3))
def test_cluster_matching__equals_best_permutation(seed, num_clusters):
    clusters, truth = random_set(seed, num_clusters)
    got = evaluate(clusters, truth, num_clusters=num_clusters)
    accuracy, iou = best_assignment(clusters, truth, num_clusters)
    assert got['cluster/aAcc'] == pytest.approx(100 * accuracy, abs=.006)
    assert got['cluster/mIoU'] == pytest.approx(
        100 * sum(iou) / 3, abs=.006)
    for name, value in zip(NAMES, iou):
        assert got[f'cluster/IoU.{name}'] == pytest.approx(
            100 * value, abs=.006)


def test_cluster_matching__names_do_not_matter():
    _, truth = random_set(0, 3)
    clusters = torch.tensor([4, 0, 2])[truth.clamp(max=2)]
    got = evaluate(clusters, truth, num_clusters=5, prefix='val')
    assert got['val/mIoU'] == got['val/aAcc'] == 100


def test_cluster_matching__absent_class_takes_no_cluster():
    clusters = torch.tensor([[[0, 0, 1, 1, 2]]])
    truth = torch.tensor([[[0, 0, 0, 0, 1]]])
    got = evaluate(clusters, truth)
    assert math.isnan(got['cluster/IoU.tree'])
    assert got['cluster/IoU.road'] == 50 and got['cluster/IoU.car'] == 100
    assert got['cluster/mIoU'] == 75 and got['cluster/aAcc'] == 60


def test_cluster_matching__nothing_labelled():
    void = torch.full((1, 2, 2), 255)
    got = evaluate(torch.zeros_like(void), void)
    assert all(math.isnan(value) for value in got.values())


def test_cluster_matching__bad_input():
    clusters, truth = random_set(0, 5)
    with pytest.raises(ValueError, match=r'in \[0, 3\), got 0 to 4; set '
                       '`num_clusters`'):
        evaluate(clusters, truth)
    with pytest.raises(ValueError, match=r'got -1 to -1'):
        evaluate(clusters * 0 - 1, truth)
    with pytest.raises(ValueError, match='`num_clusters` must be at least'):
        ClusterMatchingMetric(num_clusters=0)


def test_match_clusters__without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'scipy.optimize', None)
    with pytest.raises(ImportError, match=r'mmpixsort\[metrics\]'):
        match_clusters(torch.eye(2).long())
