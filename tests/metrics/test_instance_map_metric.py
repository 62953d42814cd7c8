"""`InstanceMapMetric` by hand and against its functions."""
import math
import pickle

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmpixsort.functional.scores.instances import (best_dice, count_difference,
                                                   instance_overlaps,
                                                   precision_at_iou)
from mmpixsort.metrics.instance_map_metric import (InstanceMapMetric,
                                                   paint_masks)
from mmpixsort.registry import METRICS

NAMES = {'SBD', 'best_dice_pred', 'best_dice_truth', 'DiC', 'abs_DiC',
         'DSB_AP', 'DSB_AP50'}
TRUTH = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 0, 0]]  # F2
PRED = [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]


def masks_of(instance_map):
    """Return a bool mask for every id, in a shuffled order."""
    ids = instance_map[instance_map > 0].unique().flip(0)
    return instance_map == ids[:, None, None]


def sample(masks, truth, scores=None):
    truth = torch.as_tensor(truth, dtype=torch.int32)
    scores = torch.ones(len(masks)) if scores is None else scores
    return dict(pred_instances=dict(masks=masks, scores=scores),
                gt_instance_map=dict(data=truth[None]))


def map_sample(pred, truth):
    return sample(masks_of(torch.as_tensor(pred)), truth)


def random_map(seed, size=(12, 14)):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(5, size, generator=g).sort(1).values


def evaluate(samples, **options):
    metric = InstanceMapMetric(**options)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_instance_map_metric__fixture_f2():
    got = evaluate([map_sample(PRED, TRUTH)])
    assert got == dict(SBD=44.44, best_dice_pred=66.67, best_dice_truth=44.44,
                       DiC=-2, abs_DiC=2, DSB_AP=0, DSB_AP50=0)


@pytest.mark.parametrize('ids', [torch.arange(5),
                                 torch.tensor([0, 4, 3, 2, 1]),
                                 torch.tensor([0, 255, 300, 65536, 2**30])])
def test_instance_map_metric__perfect_with_any_ids(ids):
    got = evaluate([sample(masks_of(random_map(seed)), ids[random_map(seed)])
                    for seed in range(3)])
    assert set(got) == NAMES
    assert got == {name: 0 if 'DiC' in name else 100 for name in NAMES}


def test_instance_map_metric__mean_over_images():
    pairs = [(random_map(seed), random_map(seed).roll(seed, 1))
             for seed in range(5)]
    pairs[0][1][3] = -1
    pairs[1][1][:] = 0
    overlaps = [instance_overlaps(*pair) for pair in pairs]
    got = evaluate([map_sample(*pair) for pair in pairs])
    dice = np.array([[x.item() for x in best_dice(*o)] for o in overlaps])
    counts = np.array([count_difference(*o) for o in overlaps])
    precision = np.array([precision_at_iou(*o).numpy() for o in overlaps])
    want = dict(
        SBD=100 * dice.min(1).mean(), best_dice_pred=100 * dice[:, 0].mean(),
        best_dice_truth=100 * dice[:, 1].mean(), DiC=counts.mean(),
        abs_DiC=abs(counts).mean(), DSB_AP=100 * precision.mean(),
        DSB_AP50=100 * precision[:, 0].mean())
    assert got == {k: pytest.approx(v, abs=.006) for k, v in want.items()}


def test_instance_map_metric__signed_and_absolute_counts():
    two, one = [[1, 2]], [[1, 0]]
    got = evaluate([map_sample(two, one), map_sample(one, two),
                    map_sample(two, one)])
    assert got['DiC'] == .33 and got['abs_DiC'] == 1


@pytest.mark.parametrize('pred, truth, share', [
    ([[0, 0]], [[0, 0]], 100),
    ([[0, 1]], [[0, 0]], 0),
    ([[0, 0]], [[0, 1]], 0),
    ([[0, 1]], [[0, -1]], 100),
])
def test_instance_map_metric__empty_maps(pred, truth, share):
    got = evaluate([map_sample(pred, truth), map_sample([[0, 1]], [[0, 1]])])
    assert {v for k, v in got.items() if 'DiC' not in k} == {
        (share + 100) / 2}


@pytest.mark.parametrize('pred, truth, share', [
    ([[0, 0]], [[0, 0]], None), ([[0, 1]], [[0, -1]], None),
    ([[0, 1]], [[0, 0]], 0)])
def test_instance_map_metric__no_true_instance_at_all(
        pred, truth, share, warnings_of_log):
    got = evaluate([map_sample(pred, truth)] * 3)
    assert any('none of 3 images has a true instance' in line
               for line in warnings_of_log)
    shares = [v for k, v in got.items() if 'DiC' not in k]
    if share is None:
        assert all(math.isnan(value) for value in shares)
        assert got['DiC'] == got['abs_DiC'] == 0
    else:
        assert set(shares) == {share} and got['DiC'] == 1


def test_instance_map_metric__most_certain_mask_on_top():
    truth = torch.tensor([[1, 1, 2, 2]])
    masks = torch.tensor([[[1, 1, 1, 1]], [[1, 1, 0, 0]], [[0, 0, 1, 1]],
                          [[0, 0, 1, 0]]]).bool()
    scores = torch.tensor([.3, .8, .9, .4])
    # what is hidden altogether does not count
    assert evaluate([sample(masks, truth, scores)])['SBD'] == 100
    got = evaluate([sample(masks, truth, 1 - scores)])
    assert got['DiC'] == -1 and got['best_dice_truth'] == 66.67


@pytest.mark.parametrize('score_thr, count', [(0., 3), (.5, 2), (.51, 1),
                                              (.95, 0)])
def test_instance_map_metric__score_thr(score_thr, count):
    masks = torch.eye(3).bool()[:, None]
    item = sample(masks, [[0, 0, 0]], torch.tensor([.2, .5, .9]))
    assert evaluate([item], score_thr=score_thr)['DiC'] == count


def test_instance_map_metric__arrays_of_numpy():
    truth = random_map(0)
    masks = masks_of(truth)
    item = sample(masks.numpy(), truth, np.ones(len(masks), np.float32))
    item['gt_instance_map']['data'] = item['gt_instance_map']['data'].numpy()
    assert evaluate([item])['SBD'] == 100
    item['pred_instances']['masks'] = masks.numpy().astype(np.uint8)
    assert evaluate([item])['SBD'] == 100


def test_instance_map_metric__through_the_evaluator():
    masks = masks_of(torch.tensor(TRUTH))
    element = BaseDataElement(
        pred_instances=InstanceData(
            masks=masks, scores=torch.rand(3), labels=torch.zeros(3).long(),
            bboxes=torch.zeros(3, 4)),
        gt_instance_map=PixelData(data=torch.tensor([TRUTH]).int()))
    evaluator = Evaluator(METRICS.build(
        dict(type='mmpixsort.InstanceMapMetric', prefix='instance')))
    evaluator.process([element])
    got = evaluator.evaluate(1)
    assert got['instance/SBD'] == got['instance/DSB_AP'] == 100
    assert got['instance/abs_DiC'] == 0


def test_instance_map_metric__results_that_travelled():
    metric = InstanceMapMetric()
    metric.process(
        {}, [map_sample(PRED, TRUTH), map_sample(TRUTH, TRUTH)])
    sent = [tuple(row) for row in pickle.loads(pickle.dumps(metric.results))]
    assert all(type(value) in (int, float) for row in sent for value in row)
    assert metric.compute_metrics(sent) == metric.compute_metrics(
        metric.results)


def test_paint_masks__first_of_equal_scores_on_top():
    masks = torch.ones(3, 1, 2).bool()
    assert paint_masks(masks, torch.tensor([.1, .5, .5])).tolist() == [[2, 2]]
    nothing = paint_masks(masks[:0], torch.zeros(0))
    assert nothing.tolist() == [[0, 0]]


def test_instance_map_metric__empty_data_set():
    with pytest.raises(ValueError, match='at least one image.*`ann_file`'):
        InstanceMapMetric().evaluate(0)


@pytest.mark.parametrize('name, key, remedy', [
    ('gt_instance_map', None, 'PaintInstanceMap.*PackInstanceInputs'),
    ('gt_instance_map', 'data', 'PaintInstanceMap.*PackInstanceInputs'),
    ('pred_instances', None, 'predicts masks'),
    ('pred_instances', 'masks', 'got scores; .*predicts masks'),
    ('pred_instances', 'scores', 'got masks; .*predicts masks'),
])
def test_instance_map_metric__names_the_missing_field(name, key, remedy):
    item = map_sample(PRED, TRUTH)
    del (item[name] if key else item)[key or name]
    with pytest.raises(ValueError, match=f'`{name}.*`.*{remedy}'):
        evaluate([item])


@pytest.mark.parametrize('masks, scores, error, text', [
    (torch.ones(1, 3, 5).bool(), torch.ones(1), ValueError,
     r'`pred_instances.masks` .*\(1, 3, 4\), got \(1, 3, 5\); .*`Resize`'),
    (torch.ones(1, 3, 4).bool(), torch.ones(2), ValueError,
     r'for every score .*\(2, 3, 4\), got \(1, 3, 4\)'),
    (torch.ones(1, 3, 4), torch.ones(1), TypeError,
     '`pred_instances.masks` must be integers'),
])
def test_instance_map_metric__bad_samples(masks, scores, error, text):
    with pytest.raises(error, match=text):
        evaluate([sample(masks, TRUTH, scores)])


def test_instance_map_metric__bad_threshold():
    with pytest.raises(ValueError, match='`score_thr` must not be negative'):
        InstanceMapMetric(score_thr=-1.)
