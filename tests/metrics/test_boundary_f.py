"""BoundaryFMetric on hand cases."""
import pytest
import torch

from mmpixsort.metrics import BoundaryFMetric
from mmpixsort.registry import METRICS


def _sample(prediction, truth):
    return dict(pred_sem_seg=dict(data=prediction[None]),
                gt_sem_seg=dict(data=truth[None]))


def _square(shift=0):
    labels = torch.zeros(20, 20, dtype=torch.long)
    labels[5:12, 5 + shift:12 + shift] = 1
    return labels


def _scores(samples, **changes):
    metric = METRICS.build(dict(
        type='mmpixsort.BoundaryFMetric', **changes))
    assert isinstance(metric, BoundaryFMetric)
    metric.dataset_meta = dict(classes=['a', 'b', 'never'])
    metric.process({}, samples)
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('average', ['image', 'dataset'])
def test_boundary_f__perfect_and_missing_class(average):
    scores = _scores([_sample(_square(), _square())], average=average)
    assert scores['mBoundaryF'] == 100
    assert scores['BoundaryF.b'] == 100
    assert scores['BoundaryF.never'] != scores['BoundaryF.never']  # NaN


def test_boundary_f__images_count_alike():
    empty = torch.zeros(20, 20, dtype=torch.long)
    samples = [_sample(_square(), _square()), _sample(empty, _square())]
    assert _scores(samples, tolerance=1)['BoundaryF.b'] == 50


@pytest.mark.parametrize('tolerance, perfect', [
    (0, False), (1, True), (0.01, False), (0.04, True)])
def test_boundary_f__tolerance_in_pixels_or_of_the_diagonal(
        tolerance, perfect):
    scores = _scores([_sample(_square(1), _square())], tolerance=tolerance)
    assert (scores['mBoundaryF'] == 100) == perfect


def test_boundary_f__bad_input():
    with pytest.raises(ValueError, match='`tolerance`'):
        BoundaryFMetric(tolerance=-1)
    with pytest.raises(ValueError, match='`average` must be one of'):
        BoundaryFMetric(average='pixel')
