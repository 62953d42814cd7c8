"""`SegmentMetric` by hand and against its functions."""
import math

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, PixelData

from mmpixsort.functional.scores.segments import oracle_labels
from mmpixsort.metrics import SegmentMetric

NAMES = ('road', 'car', 'tree')


def sample(ids, truth, neighbor_labels=None):
    segments = dict(data=torch.as_tensor(ids)[None])
    if neighbor_labels is not None:
        segments['neighbor_labels'] = torch.as_tensor(neighbor_labels)
    truth = torch.as_tensor(truth, dtype=torch.uint8)[None]
    return dict(pred_segments=segments, gt_sem_seg=dict(data=truth))


def evaluate(samples, **options):
    metric = SegmentMetric(**options)
    metric.dataset_meta = dict(classes=NAMES)
    for item in samples:
        metric.process({}, [item])
    return metric.evaluate(len(samples))


FIRST = dict(
    ids=[[0, 0, 0, 1], [2, 2, 1, 1]],
    truth=[[0, 0, 1, 1], [255, 255, 1, 2]],
    neighbor_labels=[[0, 0], [2, 1], [2, 2]])
SECOND = dict(
    ids=[[0, 0], [1, 1]], truth=[[2, 2], [0, 0]],
    neighbor_labels=[[1, 1], [0, 1]])


def test_segment_metric__by_hand():
    got = evaluate([sample(**FIRST), sample(**SECOND)])
    assert got['segment_purity'] == pytest.approx(100 * 8 / 10)
    # road: 4 of 5; car: 2 of 4; tree: 2 of 3
    assert got['oracle_mIoU'] == pytest.approx(
        100 * (4 / 5 + 2 / 4 + 2 / 3) / 3, abs=.006)
    # segment 2 of the first image has no labelled pixel
    assert got['retrieval_acc@2'] == pytest.approx(
        100 * (1 + .5 + 0 + .5) / 4)
    assert got['retrieval_any@2'] == pytest.approx(100 * 3 / 4)


@pytest.mark.parametrize('seed', range(3))
def test_segment_metric__oracle_equals_confusion_loop(seed):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(-1, 9, (3, 8, 9), generator=g)
    truth = torch.randint(3, ids.shape, generator=g)
    truth[torch.rand(ids.shape, generator=g) < .2] = 255
    got = evaluate([sample(*pair) for pair in zip(ids, truth)])
    painted = oracle_labels(ids, truth, num_classes=3)
    valid = truth != 255
    iou = [(valid & (painted == c) & (truth == c)).sum() /
           (valid & ((painted == c) | (truth == c))).sum() for c in range(3)]
    assert got['oracle_mIoU'] == pytest.approx(
        100 * sum(iou).item() / 3, abs=.006)
    inside = valid & (ids >= 0)
    assert got['segment_purity'] == pytest.approx(
        100 * (painted == truth)[inside].double().mean().item(), abs=.006)
    assert set(got) == {'segment_purity', 'oracle_mIoU'}


def test_segment_metric__through_the_evaluator():
    segments = PixelData(
        data=torch.tensor([FIRST['ids']]),
        metainfo=dict(neighbor_labels=torch.tensor(
            FIRST['neighbor_labels'])))
    element = BaseDataElement(
        pred_segments=segments,
        gt_sem_seg=PixelData(data=torch.tensor([FIRST['truth']])))
    evaluator = Evaluator(SegmentMetric(prefix='seg'))
    evaluator.dataset_meta = dict(classes=NAMES)
    evaluator.process([element])
    got = evaluator.evaluate(1)
    assert got['seg/retrieval_acc@2'] == 75


def test_segment_metric__nothing_labelled():
    got = evaluate([sample([[0, 0]], [[255, 255]], [[0]])])
    assert len(got) == 4 and all(math.isnan(v) for v in got.values())


def test_segment_metric__names_the_missing_key():
    item = sample(**FIRST)
    del item['pred_segments']
    with pytest.raises(ValueError, match='test_cfg.retrieval'):
        evaluate([item])


@pytest.mark.parametrize('items, text', [
    ([dict(FIRST, neighbor_labels=[[0, 0]])], 'segment id up to 2, got 1'),
    ([FIRST, dict(SECOND, neighbor_labels=[[1], [1]])], r'got \[1, 2\]'),
    ([FIRST, dict(SECOND, neighbor_labels=None)], r'got \[0, 2\]'),
    ([dict(FIRST, truth=[[0, 0]])], '`pred_segments data` must have shape'),
])
def test_segment_metric__bad_samples(items, text):
    with pytest.raises(ValueError, match=text):
        evaluate([sample(**item) for item in items])
