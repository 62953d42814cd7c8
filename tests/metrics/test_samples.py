"""What metrics read from a data sample."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric

from mmpixsort import metrics
from mmpixsort.metrics.samples import check_any_image, field_of, map_of

SAMPLE = dict(truth=dict(data=np.arange(6).reshape(1, 2, 3)), other=None)


def test_field_of__tensor_of_an_array():
    value = field_of(SAMPLE, 'truth', 'data', remedy='')
    assert torch.equal(value, torch.arange(6).view(1, 2, 3))
    assert torch.equal(
        map_of(SAMPLE, 'truth', 'data', remedy=''), value[0])


@pytest.mark.parametrize('name, key, got', [
    ('none', 'data', 'other, truth'), ('other', 'data', 'other, truth'),
    ('truth', 'masks', 'data')])
def test_field_of__says_what_is_there(name, key, got):
    with pytest.raises(ValueError, match=f'`{name}.{key}` must be in every '
                       f'data sample, got {got}; add it'):
        map_of(SAMPLE, name, key, remedy='add it')
    with pytest.raises(ValueError, match='got nothing; add it'):
        field_of({}, name, key, remedy='add it')


@pytest.mark.parametrize('shape', [(2, 3), (2, 2, 3), (1, 1, 2, 3), ()])
def test_map_of__other_shapes(shape):
    sample = dict(truth=dict(data=torch.zeros(shape)))
    with pytest.raises(ValueError, match=r'`truth.data` must have shape '
                       r'\(1, H, W\), got \('):
        map_of(sample, 'truth', 'data', remedy='')


def test_check_any_image():
    check_any_image([0])
    with pytest.raises(ValueError, match='at least one image, got none'):
        check_any_image([])


@pytest.mark.parametrize('name', [
    name for name in metrics.__all__
    if isinstance(getattr(metrics, name), type)
    and issubclass(getattr(metrics, name), BaseMetric)])
def test_metrics__empty_data_set(name):
    metric = getattr(metrics, name)()
    metric.dataset_meta = dict(classes=('a', 'b'))
    with pytest.raises(ValueError, match='at least one image.*`ann_file`'):
        metric.evaluate(0)
