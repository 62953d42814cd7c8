"""`GroupOracleMetric` by hand and against the mIoU of a painted map."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, PixelData

from mmpixsort.metrics.group_oracle import GroupOracleMetric

NAMES = ('background', 'disk', 'ring')


def sample(ids, truth):
    return dict(
        pred_groups=dict(data=torch.as_tensor(ids)[None]),
        gt_sem_seg=dict(data=torch.as_tensor(truth)[None]))


def evaluate(samples, **options):
    metric = GroupOracleMetric(**options)
    metric.dataset_meta = dict(classes=NAMES)
    for item in samples:
        metric.process({}, [item])
    return metric.evaluate(len(samples))


def painted_miou(ids, truth):
    """Paint by loops, then mIoU by boolean sums."""
    painted = np.full(truth.shape, -1)
    for b in range(len(ids)):
        for k in set(ids[b].flat) - {-1}:
            labels = truth[b][(ids[b] == k) & (truth[b] != 255)]
            if len(labels):
                painted[b][ids[b] == k] = np.bincount(labels).argmax()
    ious = []
    for c in range(3):
        mine, true = (painted == c) & (truth != 255), truth == c
        ious.append((mine & true).sum() / (mine | true).sum())
    return 100 * np.mean(ious)


def test_group_oracle__by_hand():
    got = evaluate([sample([[0, 0, 0, 1], [2, 2, 1, -1]],
                           [[0, 0, 1, 1], [255, 2, 1, 2]])])
    assert got == dict(
        group_purity=round(100 * 5 / 6, 2),
        group_oracle_mIoU=round(100 * (2 / 3 + 2 / 3 + 1 / 2) / 3, 2))


@pytest.mark.parametrize('seed', range(3))
def test_group_oracle__equals_the_painted_map(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, 7, (4, 6, 8))
    truth = rng.integers(0, 3, ids.shape)
    truth[rng.random(ids.shape) < .2] = 255
    got = evaluate([sample(*pair) for pair in zip(ids, truth)])
    assert got['group_oracle_mIoU'] == pytest.approx(
        painted_miou(ids, truth), abs=.006)


def test_group_oracle__limits_of_one_and_all_groups():
    truth = np.random.default_rng(0).integers(0, 3, (6, 8))
    each = np.arange(48).reshape(6, 8)
    assert evaluate([sample(each, truth)])['group_oracle_mIoU'] == 100
    whole = evaluate([sample(np.zeros_like(each), truth)])
    most = np.bincount(truth.ravel()).max() / 48
    assert whole['group_oracle_mIoU'] == pytest.approx(
        100 * most / 3, abs=.006)


def test_group_oracle__in_an_evaluator():
    data = BaseDataElement(
        pred_groups=PixelData(data=torch.zeros(1, 2, 2).long()),
        gt_sem_seg=PixelData(data=torch.ones(1, 2, 2).long()))
    evaluator = Evaluator([
        dict(type='mmpixsort.GroupOracleMetric', prefix='groups')])
    evaluator.dataset_meta = dict(classes=NAMES)
    evaluator.process([data])
    assert evaluator.evaluate(1)['groups/group_oracle_mIoU'] == 100


@pytest.mark.parametrize('bad, error', [
    (dict(gt_sem_seg=dict(data=torch.zeros(1, 2, 2))),
     '`pred_groups` must be in every data sample, got gt_sem_seg'),
    (sample(torch.zeros(3, 2).long(), torch.zeros(2, 2)),
     '`pred_groups data` must have shape'),
])
def test_group_oracle__bad_input(bad, error):
    with pytest.raises(ValueError, match=error):
        evaluate([bad])
