"""`BoundaryFMetric` on small data sets."""
import math

import pytest
import torch
from distributed import run_ranks
from metrics.jobs import NAMES, data_set, evaluate_rank, sample

from mmpixsort.functional.scores.boundary import (boundary_counts,
                                                  boundary_scores)
from mmpixsort.metrics import BoundaryFMetric
from mmpixsort.registry import METRICS


def evaluate(samples, batch=2, **options):
    metric = METRICS.build(
        dict(type='mmpixsort.BoundaryFMetric', **options))
    metric.dataset_meta = dict(classes=NAMES)
    for i in range(0, len(samples), batch):
        metric.process({}, samples[i:i + batch])
    return metric.evaluate(len(samples))


def counts_of(samples, tolerance):
    return [
        boundary_counts(
            s['pred_sem_seg']['data'][0], s['gt_sem_seg']['data'][0].long(),
            tolerance=tolerance, num_classes=3) for s in samples
    ]


def test_boundary_f_metric__mean_over_images_then_classes():
    samples = data_set()
    got = evaluate(samples, tolerance=1)
    f = torch.stack([boundary_scores(c).f for c in counts_of(samples, 1)])
    assert f.isnan().any()  # a class that some images lack
    by_class = [
        sum(v for v in column if v == v) / sum(v == v for v in column)
        for column in f.T.tolist()
    ]
    for name, value in zip(NAMES, by_class):
        assert got[f'BoundaryF.{name}'] == pytest.approx(
            100 * value, abs=.006)
    assert got['mBoundaryF'] == pytest.approx(
        100 * sum(by_class) / 3, abs=.006)


def test_boundary_f_metric__pooled_over_the_data_set():
    samples = data_set()
    got = evaluate(samples, tolerance=1, average='dataset')
    matched_predicted, predicted, matched_true, true = sum(
        torch.stack(c) for c in counts_of(samples, 1)).double()
    precision, recall = matched_predicted / predicted, matched_true / true
    f = 2 * precision * recall / (precision + recall)
    assert got['mBoundaryF'] == pytest.approx(100 * f.mean().item(), abs=.006)


def test_boundary_f_metric__tolerance_as_share_of_the_diagonal():
    samples = data_set()
    share = 1.5 / math.hypot(12, 14)
    assert evaluate(samples, tolerance=share) == evaluate(
        samples, tolerance=2)
    assert evaluate(samples) == evaluate(samples, tolerance=1)


def test_boundary_f_metric__identical_and_absent():
    truth = torch.zeros(6, 6, dtype=torch.long)
    truth[2:, 3:] = 1
    got = evaluate([sample(truth, truth)], prefix='val')
    assert got['val/mBoundaryF'] == got['val/BoundaryF.road'] == 100
    assert math.isnan(got['val/BoundaryF.tree'])


def test_boundary_f_metric__images_count_alike():
    truth = torch.zeros(12, 12, dtype=torch.long)
    truth[3:9, 3:9] = 1
    samples = [sample(truth, truth), sample(truth * 0, truth)]
    assert evaluate(samples, tolerance=1)['BoundaryF.car'] == 50
    pooled = evaluate(samples, tolerance=1, average='dataset')
    assert pooled['BoundaryF.car'] == pytest.approx(100 * 2 / 3, abs=.006)


def test_boundary_f_metric__void_band_around_objects():
    truth = torch.zeros(9, 9, dtype=torch.long)
    truth[2:7, 2:7], truth[3:6, 3:6] = 255, 1
    prediction = (truth == 1).long()
    got = evaluate([sample(prediction, truth)], tolerance=2)
    assert math.isnan(got['mBoundaryF'])
    got = evaluate([sample(prediction, truth)], tolerance=2,
                   void_edges=True)
    assert got['mBoundaryF'] == 100


@pytest.mark.ddp
def test_boundary_f_metric__two_processes_equal_one():
    want = evaluate(data_set(), tolerance=1)
    for got in run_ranks(evaluate_rank):
        assert got == want


@pytest.mark.parametrize('options, error, text', [
    (dict(tolerance=1.5), ValueError, '`tolerance` must be at most 1'),
    (dict(tolerance=-1), ValueError, '`tolerance` must be at least 0'),
    (dict(tolerance='3'), TypeError, '`tolerance` must be an integer'),
    (dict(average='class'), ValueError, '`average` must be one of'),
])
def test_boundary_f_metric__bad_options(options, error, text):
    with pytest.raises(error, match=text):
        BoundaryFMetric(**options)


def test_boundary_f_metric__bad_samples():
    metric = BoundaryFMetric()
    labels = torch.zeros(4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match='`classes` must be in'):
        metric.process({}, [sample(labels, labels)])
    metric.dataset_meta = dict(classes=NAMES)
    with pytest.raises(ValueError, match='`pred_sem_seg data` must have'):
        metric.process({}, [sample(labels, labels[:3])])
