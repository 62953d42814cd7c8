"""`RegionNounAccuracy` by hand and against a loop over groups."""
import math

import numpy as np
import pytest
import torch

from mmpixsort.metrics.region_noun_accuracy import RegionNounAccuracy

NAMES = ('background', 'disk', 'ring')


def sample(ids, prediction, truth):
    return {
        name: dict(data=torch.as_tensor(value)[None])
        for name, value in (('pred_groups', ids),
                            ('pred_sem_seg', prediction),
                            ('gt_sem_seg', truth))
    }


def evaluate(samples, names=NAMES, **options):
    metric = RegionNounAccuracy(**options)
    metric.dataset_meta = dict(classes=names)
    for item in samples:
        metric.process({}, [item])
    return metric.evaluate(len(samples))


def most(labels):
    labels = labels[labels != 255]
    return np.bincount(labels).argmax() if len(labels) else -1


def test_region_noun_accuracy__by_hand():
    # groups: disk named disk, ring named disk, background, nothing labelled
    ids = [[0, 0, 0, 1, 1, 2, 3, -1]]
    truth = [[1, 1, 0, 2, 2, 0, 255, 1]]
    named = [[1, 1, 1, 1, 1, 1, 1, 1]]
    got = evaluate([sample(ids, named, truth)] * 2)
    assert got == dict(region_noun_accuracy=50., foreground_groups=2.)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('background', ['background', 'sky'])
def test_region_noun_accuracy__equals_loop(seed, background):
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, 6, (3, 5, 7))
    prediction, truth = rng.integers(0, 3, (2, *ids.shape))
    truth[rng.random(ids.shape) < .3] = 255
    right = total = 0
    for b in range(3):
        for k in range(6):
            true = most(truth[b][ids[b] == k])
            if true < (1 if background == 'background' else 0):
                continue
            total += 1
            right += true == most(prediction[b][ids[b] == k])
    got = evaluate([sample(*item) for item in zip(ids, prediction, truth)],
                   background=background)
    assert got['region_noun_accuracy'] == pytest.approx(
        100 * right / total, abs=.006)
    assert got['foreground_groups'] == round(total / 3, 2)


def test_region_noun_accuracy__no_foreground_at_all():
    zeros = np.zeros((2, 2), int)
    got = evaluate([sample(zeros, zeros, zeros)])
    assert math.isnan(got['region_noun_accuracy'])
    assert got['foreground_groups'] == 0


@pytest.mark.parametrize('change, error', [
    (dict(pred_groups=None), '`pred_groups` must be in every'),
    (dict(pred_groups=dict(data=torch.zeros(1, 3, 2))),
     '`pred_groups data` must have shape'),
    (dict(pred_sem_seg=dict(data=torch.zeros(1, 3, 2))),
     '`pred_sem_seg data` must have shape'),
])
def test_region_noun_accuracy__bad_input(change, error):
    zeros = np.zeros((2, 2), int)
    with pytest.raises(ValueError, match=error):
        evaluate([{**sample(zeros, zeros, zeros), **change}])
