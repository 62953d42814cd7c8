"""`PanopticQualityMetric` by hand and against its functions."""
import math
import pickle

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, PixelData

from mmpixsort.functional.scores.panoptic_quality import (PanopticCounts,
                                                          class_quality,
                                                          panoptic_counts,
                                                          panoptic_quality)
from mmpixsort.metrics.panoptic_quality_metric import PanopticQualityMetric
from mmpixsort.registry import METRICS

META = dict(classes=('car', 'person', 'road', 'sky'),
            thing_classes=('car', 'person'), stuff_classes=('road', 'sky'))
NAMES = {name + split for name in ('PQ', 'SQ', 'RQ')
         for split in ('', '_th', '_st')}
# a quarter of the road is taken for void, one of two cars for sky
PRED = [[1000, 1000, 3, 3, 3], [1000, 1000, 3, 3, 3], [2, 2, 2, 4, 4]]
SEMANTIC = [[0, 0, 0, 3, 3], [0, 0, 0, 3, 3], [2, 2, 2, 2, 255]]
INSTANCES = [[7, 7, 8, 0, 0], [7, 7, 8, 0, 0], [0, 0, 0, 0, -1]]


def maps(prediction=PRED, semantic=SEMANTIC, instances=INSTANCES):
    return tuple(
        torch.as_tensor(values, dtype=dtype)
        for values, dtype in ((prediction, torch.int32),
                              (semantic, torch.uint8),
                              (instances, torch.int32)))


def sample(prediction, semantic, instances):
    return dict(pred_panoptic_seg=dict(sem_seg=prediction[None]),
                gt_sem_seg=dict(sem_seg=semantic[None]),
                gt_instance_map=dict(data=instances[None]))


def random_maps(seed, size=(9, 12)):
    g = torch.Generator().manual_seed(seed)
    semantic = torch.randint(4, size, generator=g).sort(1).values
    instances = torch.randint(1, 3, size, generator=g).sort(0).values
    instances[2, semantic[2] < 2] = -1
    prediction = semantic + 1000 * instances.clamp(min=0).where(
        semantic < 2, 0)
    prediction = prediction.roll(seed % 3, seed % 2)
    prediction[:, 0] = 4
    semantic[-1, -5:] = 255
    return maps(prediction, semantic, instances)


def evaluate(samples, meta=META, **options):
    metric = PanopticQualityMetric(**options)
    metric.dataset_meta = meta
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_panoptic_quality_metric__by_hand():
    got = evaluate([sample(*maps())], classwise=True)
    # car: one of two; road: 3 pixels of 4; sky: 4 of 6
    assert got == {
        'PQ': 69.44, 'SQ': 80.56, 'RQ': 88.89,
        'PQ_th': 66.67, 'SQ_th': 100, 'RQ_th': 66.67,
        'PQ_st': 70.83, 'SQ_st': 70.83, 'RQ_st': 100,
        'PQ.car': 66.67, 'PQ.person': pytest.approx(math.nan, nan_ok=True),
        'PQ.road': 75, 'PQ.sky': 66.67}


def test_panoptic_quality_metric__perfect_and_f4():
    _, semantic, instances = maps(
        semantic=[[0] * 4] * 5 + [[2] * 4] * 15, prediction=[[0]],
        instances=[[1] * 4] * 5 + [[0] * 4] * 15)
    perfect = (semantic + 1000 * instances).int()
    got = evaluate([sample(perfect, semantic, instances)])
    assert got == dict.fromkeys(NAMES, 100)
    voided = perfect.clone()
    voided[-6:] = 4
    got = evaluate([sample(voided, semantic, instances)])
    assert (got['PQ'], got['PQ_th'], got['PQ_st']) == (80, 100, 60)


def test_panoptic_quality_metric__counts_of_all_images():
    cases = [random_maps(seed) for seed in range(6)]
    counts = PanopticCounts(*(
        torch.stack(part).sum(0) for part in zip(*(
            panoptic_counts(*case, num_classes=4, num_things=2)
            for case in cases))))
    want = panoptic_quality(counts, num_things=2)
    want.update({f'PQ.{name}': value for name, value in zip(
        META['classes'], class_quality(counts).pq)})
    got = evaluate([sample(*case) for case in cases], classwise=True)
    assert got == {name: pytest.approx(100 * value.item(), abs=.006)
                   for name, value in want.items()}


def test_panoptic_quality_metric__through_the_evaluator():
    prediction, semantic, instances = maps()
    element = BaseDataElement(
        pred_panoptic_seg=PixelData(sem_seg=prediction[None]),
        gt_sem_seg=PixelData(sem_seg=semantic[None]),
        gt_instance_map=PixelData(data=instances[None]))
    evaluator = Evaluator(METRICS.build(
        dict(type='mmpixsort.PanopticQualityMetric', prefix='panoptic')))
    evaluator.dataset_meta = META
    evaluator.process([element])
    got = evaluator.evaluate(1)
    assert set(got) == {f'panoptic/{name}' for name in NAMES}
    assert got['panoptic/PQ'] == 69.44


def test_panoptic_quality_metric__by_its_type():
    evaluator = Evaluator(dict(type='mmpixsort.PanopticQualityMetric',
                               num_things=2))
    evaluator.dataset_meta = dict(classes=META['classes'])
    evaluator.process([sample(*maps())])
    assert evaluator.evaluate(1)['PQ'] == 69.44


def test_panoptic_quality_metric__arrays_of_numpy():
    got = evaluate([sample(*(part.numpy() for part in maps()))])
    assert got['PQ'] == 69.44


def test_panoptic_quality_metric__results_that_travelled():
    metric = PanopticQualityMetric()
    metric.dataset_meta = META
    metric.process({}, [sample(*random_maps(seed)) for seed in range(3)])
    assert all(type(row) is tuple for row in metric.results)
    assert all(part.device.type == 'cpu' and part.shape == (4, )
               for row in metric.results for part in row)
    sent = pickle.loads(pickle.dumps(metric.results))
    assert metric.compute_metrics(sent) == metric.compute_metrics(
        metric.results)


def test_panoptic_quality_metric__num_things_given_counts():
    meta = dict(META, thing_classes=('sky', ))
    assert evaluate([sample(*maps())], meta, num_things=2)['PQ'] == 69.44


@pytest.mark.parametrize('num_things, empty', [(0, '_th'), (4, '_st')])
def test_panoptic_quality_metric__empty_split(num_things, empty):
    prediction, semantic, _ = maps(prediction=[[3, 2]], semantic=[[3, 2]])
    item = sample(prediction, semantic, torch.ones(1, 2).int())
    got = evaluate([item], num_things=num_things)
    assert {name for name, value in got.items()
            if math.isnan(value)} == {q + empty for q in ('PQ', 'SQ', 'RQ')}
    assert got['PQ'] == 100


def test_panoptic_quality_metric__ignore_index():
    prediction, semantic, instances = maps()
    semantic[semantic == 255] = 9
    item = sample(prediction, semantic, instances)
    assert evaluate([item], ignore_index=9)['PQ'] == 69.44
    with pytest.raises(ValueError, match='`semantic` .* got 9; .*`ignore_i'):
        evaluate([item])


@pytest.mark.parametrize('meta, text', [
    (dict(META, thing_classes=('person', 'road')),
     'things first, got car, person first and person, road as'),
    (dict(META, classes=('road', 'sky', 'car', 'person')),
     'must list things first, got road, sky first'),
    (dict(META, thing_classes=META['classes'] + ('bus', )), 'things first'),
    (dict(classes=META['classes']),
     '`thing_classes` must be .*, got classes; or set `num_things`'),
    (dict(thing_classes=('car', )), '`classes` must be in the METAINFO'),
    (None, '`classes` must be in the METAINFO'),
])
def test_panoptic_quality_metric__bad_metainfo(meta, text):
    with pytest.raises(ValueError, match=text):
        evaluate([sample(*maps())], meta)


def test_panoptic_quality_metric__order_within_things_is_free():
    meta = dict(META, thing_classes=['person', 'car'])
    assert evaluate([sample(*maps())], meta)['PQ'] == 69.44


@pytest.mark.parametrize('key', [None, 'data'])
@pytest.mark.parametrize('name, remedy', [
    ('gt_instance_map',
     r'LoadPanopticMap.*PaintInstanceMap\(num_things=...\).*PackInstanceI'),
    ('gt_sem_seg',
     r'LoadPanopticMap.*PaintInstanceMap\(num_things=...\).*PackInstanceI'),
    ('pred_panoptic_seg', 'predicts panoptic maps'),
])
def test_panoptic_quality_metric__names_the_missing_field(name, key, remedy):
    item = sample(*maps())
    if key is None:
        del item[name]
    else:
        item[name] = dict(other=1)
    field = 'data' if name == 'gt_instance_map' else 'sem_seg'
    got = 'other;' if key else 'gt_|pred_'
    with pytest.raises(ValueError, match=f'`{name}.{field}` must be'
                       f'.*got ({got}).*{remedy}'):
        evaluate([item])


@pytest.mark.parametrize('changes, text', [
    (dict(semantic=[[0, 0]]),
     r'`gt_sem_seg.sem_seg` .* size .*\(3, 5\), got \(1, 2\); .*`Resize`'),
    (dict(instances=[[0, 0]]), r'`gt_instance_map.data` .* got \(1, 2\)'),
    (dict(instances=[[0] * 5] * 3), r'PaintInstanceMap\(num_things=2\)'),
    (dict(prediction=[[7] * 5] * 3), '`prediction` must .* got class 7'),
])
def test_panoptic_quality_metric__bad_samples(changes, text):
    with pytest.raises(ValueError, match=text):
        evaluate([sample(*maps(**changes))])


def test_panoptic_quality_metric__empty_data_set():
    with pytest.raises(ValueError, match='at least one image.*`ann_file`'):
        PanopticQualityMetric(num_things=2).evaluate(0)


@pytest.mark.parametrize('num_things, error', [(-1, ValueError),
                                               ('2', TypeError)])
def test_panoptic_quality_metric__bad_num_things(num_things, error):
    with pytest.raises(error, match='`num_things` must be'):
        PanopticQualityMetric(num_things=num_things)


def test_panoptic_quality_metric__more_things_than_classes():
    with pytest.raises(ValueError, match='`num_things` must be at most'):
        evaluate([sample(*maps())], num_things=5)
