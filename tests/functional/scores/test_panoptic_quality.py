"""`functional.panoptic_quality` against loops, other packages and by hand."""
import math

import numpy as np
import pytest
import torch

from mmpixsort.functional.scores.panoptic_quality import (PanopticCounts,
                                                          class_quality,
                                                          panoptic_counts,
                                                          panoptic_quality)

CLASSES = dict(num_classes=5, num_things=3)
VOID = 255

# (class, instance) of the documented example of torchmetrics' PanopticQuality
F3_PRED = [[[6, 0], [0, 0], [6, 0], [6, 0]], [[0, 0], [0, 0], [6, 0], [0, 1]],
           [[0, 0], [0, 0], [6, 0], [0, 1]], [[0, 0], [7, 0], [6, 0], [1, 0]],
           [[0, 0], [7, 0], [7, 0], [7, 0]]]
F3_TRUE = [[[6, 0], [0, 1], [6, 0], [0, 1]], [[0, 1], [0, 1], [6, 0], [0, 1]],
           [[0, 1], [0, 1], [6, 0], [1, 0]], [[0, 1], [7, 0], [1, 0], [1, 0]],
           [[0, 1], [7, 0], [7, 0], [7, 0]]]


def patches(g, size, count, high, low=0):
    """Return values of random boxes, -9 where there is none."""
    painted = torch.full(size, -9)
    for _ in range(count):
        y, x = (int(torch.randint(n - 2, (), generator=g)) for n in size)
        h, w = torch.randint(2, 6, (2, ), generator=g).tolist()
        painted[y:y + h, x:x + w] = torch.randint(low, high, (), generator=g)
    return painted


def random_case(seed, crowds=True, size=(14, 16)):
    """Return a prediction like the truth, but for boxes and a shift."""
    g = torch.Generator().manual_seed(seed)
    semantic = torch.randint(3, 5, (2, 1), generator=g).repeat_interleave(
        7, 0).repeat(1, size[1])
    things = patches(g, size, 8, 60, low=10)  # 10 * class + instance
    drawn = (things >= 0) & (things < 40)
    semantic[drawn] = things[drawn] // 10 - 1
    instances = (things % 10 + 1).where(drawn, 0)
    if crowds:
        crowd = patches(g, size, 2, 3)
        semantic = semantic.where(crowd < 0, crowd)
        instances[crowd >= 0] = -1
    prediction = semantic + 1000 * instances.clamp(min=0)
    noise = patches(g, size, 4, 6)  # some void
    prediction = prediction.where(noise < 0, noise)
    again = patches(g, size, 3, 30)  # 10 * class + instance, 0 too
    prediction = prediction.where(
        again < 0, again // 10 + 1000 * (again % 10))
    prediction = prediction.roll(seed % 2, seed % 3 % 2)
    void = patches(g, size, 3, 1) == 0
    semantic[void], instances[void] = VOID, -1
    return prediction, semantic, instances


def slow_counts(prediction, semantic, instances, num_classes, num_things):
    """Count by the rules of panopticapi, on sets of pixels."""
    preds, trues, crowds, void = {}, {}, {}, set()
    pixels = zip(prediction.flatten().tolist(), semantic.flatten().tolist(),
                 instances.flatten().tolist())
    for place, (pred, label, instance) in enumerate(pixels):
        kind = pred % 1000
        if pred >= 0 and kind != num_classes:
            number = pred // 1000 if kind < num_things else 0
            preds.setdefault((kind, number), set()).add(place)
        if label == VOID:
            void.add(place)
        elif label >= num_things:
            trues.setdefault((label, 0), set()).add(place)
        elif instance < 0:
            crowds.setdefault(label, set()).add(place)
        else:
            trues.setdefault((label, instance), set()).add(place)
    iou, tp, fp, fn = np.zeros((4, num_classes))
    found_preds, found_trues = set(), set()
    for p, own in preds.items():
        for t, other in trues.items():
            union = (len(own) + len(other) - len(own & other) -
                     len(own & void))
            if p[0] == t[0] and len(own & other) / union > .5:
                iou[p[0]] += len(own & other) / union
                tp[p[0]] += 1
                found_preds.add(p)
                found_trues.add(t)
    for p, own in preds.items():
        excused = len(own & void) + len(own & crowds.get(p[0], set()))
        if p not in found_preds and not excused / len(own) > .5:
            fp[p[0]] += 1
    for t in set(trues) - found_trues:
        fn[t[0]] += 1
    return iou, tp, fp, fn


def slow_quality(iou, tp, fp, fn, num_things):
    """Average as panopticapi does."""
    scores = {}
    ranges = {'': (0, len(tp)), '_th': (0, num_things),
              '_st': (num_things, len(tp))}
    for suffix, ends in ranges.items():
        rows = [(iou[c] / (tp[c] + fp[c] / 2 + fn[c] / 2),
                 iou[c] / tp[c] if tp[c] else 0,
                 tp[c] / (tp[c] + fp[c] / 2 + fn[c] / 2))
                for c in range(*ends) if tp[c] + fp[c] + fn[c]]
        for name, column in zip(('PQ', 'SQ', 'RQ'), zip(*rows)):
            scores[name + suffix] = sum(column) / len(column)
    return scores


def line(*columns, **options):
    """Count a map of one row; columns (prediction, semantic, instance)."""
    maps = torch.tensor(columns).T[:, None]
    counts = panoptic_counts(*maps, **{**CLASSES, **options})
    return {name: part.tolist() for name, part in counts._asdict().items()}


def at(**counts):
    """Counts of one class, 0 for all others."""
    c = counts.pop('c')
    return {name: [counts.get(name, 0) if i == c else 0 for i in range(5)]
            for name in ('iou', 'tp', 'fp', 'fn')}


def test_panoptic_counts__equal_loops_on_200_maps():
    total = 0
    for seed in range(200):
        maps = random_case(seed)
        got = panoptic_counts(*maps, **CLASSES)
        want = np.stack(slow_counts(*maps, **CLASSES))
        assert np.allclose(torch.stack(got[1:]), want[1:]), seed
        assert np.allclose(got.iou, want[0], atol=1e-12), seed
        total = total + want
        quality = slow_quality(*want, num_things=3)
        assert {k: v.item() for k, v in panoptic_quality(
            got, num_things=3).items() if k in quality} == pytest.approx(
                quality)
    # every count is put to the test, in every class
    assert (total > 20).all()


def test_panoptic_counts__add_up_over_images():
    cases = [random_case(seed) for seed in range(5)]
    total = PanopticCounts(*(
        torch.stack(part).sum(0) for part in zip(*(
            panoptic_counts(*maps, **CLASSES) for maps in cases))))
    want = sum(np.stack(slow_counts(*maps, **CLASSES)) for maps in cases)
    got = panoptic_quality(total, num_things=3)
    assert {k: v.item() for k, v in got.items()} == pytest.approx(
        slow_quality(*want, num_things=3))
    assert total.iou.dtype == torch.double
    assert {part.dtype for part in total[1:]} == {torch.long}


def panopticapi_counts(maps, folder):
    """Count with panopticapi, through the files that it reads."""
    evaluation = pytest.importorskip('panopticapi.evaluation')
    from panopticapi.utils import id2rgb
    from PIL import Image
    pairs = []
    for i, (prediction, semantic, instances) in enumerate(maps):
        is_void = semantic == VOID
        ids = semantic + 1000 * instances.clamp(min=0).where(semantic < 3, 0)
        crowd = (semantic < 3) & (instances < 0)
        ids = (ids + 1).masked_fill(is_void, 0)
        ids = torch.where(crowd, semantic + 900001, ids)
        predicted = prediction.where(prediction % 1000 < 3, prediction % 1000)
        predicted = (predicted + 1).masked_fill(prediction % 1000 == 5, 0)
        pair = []
        for name, numbers in (('true', ids), ('pred', predicted)):
            numbers = numbers.numpy()
            Image.fromarray(id2rgb(numbers)).save(folder / f'{name}{i}.png')
            pair.append(dict(file_name=f'{name}{i}.png', image_id=i))
            pair[-1]['segments_info'] = [
                dict(id=n, category_id=(n - 1) % 1000 if n < 900000 else
                     n - 900001, area=int((numbers == n).sum()),
                     iscrowd=int(n > 900000))
                for n in np.unique(numbers).tolist() if n]
        pairs.append(tuple(pair))
    categories = {c: dict(id=c, isthing=int(c < 3)) for c in range(5)}
    return evaluation.pq_compute_single_core(
        0, pairs, str(folder), str(folder), categories), categories


def test_panoptic_counts__equal_panopticapi(tmp_path):
    maps = [random_case(seed) for seed in range(200)]
    want, categories = panopticapi_counts(maps, tmp_path)
    got = PanopticCounts(*(
        torch.stack(part).sum(0) for part in zip(*(
            panoptic_counts(*case, **CLASSES) for case in maps))))
    for c in range(5):
        assert got.iou[c].item() == pytest.approx(want[c].iou, rel=1e-12)
        assert [part[c].item() for part in got[1:]] == [
            want[c].tp, want[c].fp, want[c].fn]
    scores = panoptic_quality(got, num_things=3)
    for suffix, isthing in (('', None), ('_th', True), ('_st', False)):
        average, _ = want.pq_average(categories, isthing)
        for name in ('pq', 'sq', 'rq'):
            assert scores[name.upper() + suffix].item() == pytest.approx(
                average[name], rel=1e-12)


def torchmetrics_quality():
    pytest.importorskip('torchmetrics')
    from torchmetrics.functional.detection import panoptic_quality as other
    return other


def test_panoptic_quality__equals_torchmetrics():
    other = torchmetrics_quality()
    for seed in range(40):
        prediction, semantic, instances = random_case(seed, crowds=False)
        # it has no crowds, and leaves predicted void out of the union too
        prediction[prediction == 5] = 3
        got = class_quality(panoptic_counts(
            prediction, semantic, instances, **CLASSES))
        want = other(
            torch.stack([prediction % 1000, prediction // 1000], -1)[None],
            torch.stack([semantic, instances], -1)[None], things={0, 1, 2},
            stuffs={3, 4}, allow_unknown_preds_category=True,
            return_per_class=True, return_sq_and_rq=True)
        assert torch.allclose(torch.stack(got, 1).nan_to_num(), want), seed


def f3_maps():
    pred, true = torch.tensor(F3_PRED), torch.tensor(F3_TRUE)
    classes = [part[..., 0] - 4 * (part[..., 0] > 1) for part in (pred, true)]
    return (classes[0] + 1000 * (pred[..., 1] + (classes[0] < 2)), classes[1],
            (true[..., 1] + 1).where(classes[1] < 2, 0))


def test_panoptic_quality__fixture_f3():
    counts = panoptic_counts(*f3_maps(), num_classes=4, num_things=2)
    scores = panoptic_quality(counts, num_things=2)
    percent = {k: round(100 * v.item(), 2) for k, v in scores.items()}
    assert percent == dict(
        PQ=54.63, SQ=61.11, RQ=66.67, PQ_th=25.93, SQ_th=38.89, RQ_th=33.33,
        PQ_st=83.33, SQ_st=83.33, RQ_st=100)
    per_class = torch.stack(class_quality(counts), 1)
    assert (per_class[:, 0] * 1e4).round().tolist() == [5185, 0, 6667, 10000]


def test_panoptic_quality__fixture_f3_is_that_of_torchmetrics():
    other = torchmetrics_quality()
    got = other(torch.tensor([F3_PRED]), torch.tensor([F3_TRUE]),
                things={0, 1}, stuffs={6, 7})
    scores = panoptic_quality(
        panoptic_counts(*f3_maps(), num_classes=4, num_things=2),
        num_things=2)
    assert scores['PQ'].item() == pytest.approx(got.item())


def f4_maps(box, ground):
    """A box on a quarter of the rows; 30 % of the rows predicted void.

    Of the ground, 9 rows of 15 are left: an IoU of .6.
    """
    semantic = torch.full((20, 8), ground)
    semantic[:5] = box
    instances = (semantic == box).int()
    prediction = semantic + 1000 * instances
    prediction[-6:] = 4
    return prediction, semantic, instances


@pytest.mark.parametrize('box, ground, num_things', [
    (0, 1, 1), (0, 3, 1), (0, 2, 2), (1, 2, 2), (1, 3, 2), (2, 3, 3)])
@pytest.mark.parametrize('void', [4, -1, 4004])
def test_panoptic_quality__fixture_f4(box, ground, num_things, void):
    prediction, *truth = f4_maps(box, ground)
    prediction[prediction == 4] = void
    got = panoptic_quality(panoptic_counts(
        prediction, *truth, num_classes=4, num_things=num_things),
        num_things=num_things)
    assert [100 * got[name].item() for name in (
        'PQ', 'PQ_th', 'PQ_st')] == pytest.approx([80, 100, 60])


@pytest.mark.parametrize('box, ground', [(0, 1), (1, 0), (3, 0)])
def test_panoptic_quality__predicted_void_is_not_stuff_of_class_0(
        box, ground):
    counts = panoptic_counts(
        *f4_maps(box, ground), num_classes=4, num_things=0)
    got = panoptic_quality(counts, num_things=0)
    assert got['PQ'].item() == got['PQ_st'].item() == pytest.approx(.8)
    assert math.isnan(got['PQ_th'])


@pytest.mark.parametrize('seed', range(5))
def test_panoptic_quality__perfect(seed):
    _, semantic, instances = random_case(seed)
    prediction = semantic + 1000 * instances.clamp(min=0)
    void = (semantic == VOID) | ((semantic < 3) & (instances < 0))
    counts = panoptic_counts(
        prediction.masked_fill(void, 5), semantic, instances, **CLASSES)
    assert counts.tp.sum() and not (counts.fp + counts.fn).any()
    assert set(torch.stack(list(panoptic_quality(
        counts, num_things=3).values())).tolist()) == {1.}


@pytest.mark.parametrize('seed', range(5))
def test_panoptic_counts__do_not_depend_on_the_numbers(seed):
    prediction, semantic, instances = random_case(seed)
    g = torch.Generator().manual_seed(seed)
    numbers = torch.randperm(100000, generator=g)[:20] + 1
    numbers[3] = 2**31 - 1
    renamed = torch.where(
        instances > 0, numbers[instances.clamp(min=0)], instances)
    moved = torch.where(
        prediction > 999, prediction % 1000 +
        1000 * numbers[prediction // 1000], prediction)
    flipped = [part.flip(1) for part in (moved, semantic, renamed)]
    for got in (panoptic_counts(moved, semantic, renamed, **CLASSES),
                panoptic_counts(*flipped, **CLASSES)):
        want = panoptic_counts(prediction, semantic, instances, **CLASSES)
        assert torch.allclose(torch.stack([p.double() for p in got]),
                              torch.stack([p.double() for p in want]))


def test_panoptic_counts__ids_beyond_24_bits_and_many_instances():
    semantic = torch.zeros(150, 160).byte()
    instances = torch.arange(1, 24001).view(150, 160).int()
    got = panoptic_counts(
        (instances + 40000) * 1000, semantic, instances, **CLASSES)
    assert got.tp.tolist() == [24000, 0, 0, 0, 0]
    assert got.iou.tolist() == [24000, 0, 0, 0, 0]
    assert not (got.fp + got.fn).any()


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int64])
def test_panoptic_counts__integer_types(dtype):
    maps = random_case(1)
    want = panoptic_counts(*maps, **CLASSES)
    got = panoptic_counts(
        maps[0].int(), maps[1].to(dtype), maps[2].int(), **CLASSES)
    assert all(torch.equal(*pair) for pair in zip(got, want))


def test_panoptic_counts__stuff_is_one_segment():
    # whatever its prediction or its truth say of instances
    got = line((3, 3, 0), (1003, 3, 7), (7003, 3, -1), (3, 3, 2))
    assert got == at(c=3, iou=1, tp=1)


def test_panoptic_counts__iou_of_a_half_is_no_match():
    half = [(1000, 0, 1)] * 2 + [(5, 0, 1)] * 2
    assert line(*half) == at(c=0, fp=1, fn=1)
    assert line(*half, (1000, 0, 1)) == at(c=0, iou=.6, tp=1)


def test_panoptic_counts__another_class_is_no_match():
    got = line((1000, 1, 1), (1000, 1, 1))
    assert got['fp'] == [1, 0, 0, 0, 0] and got['fn'] == [0, 1, 0, 0, 0]
    assert sum(got['tp']) == 0


def test_panoptic_counts__void_is_not_in_the_union():
    got = line((1000, 0, 1), (1000, 0, 1), (1000, VOID, -1), (5, 0, 1))
    assert got == at(c=0, iou=2 / 3, tp=1)


@pytest.mark.parametrize('excuse', [(1000, VOID, -1), (1000, 0, -1)])
def test_panoptic_counts__prediction_in_void_or_crowd(excuse):
    other = (1000, 4, 0)
    half = line(excuse, excuse, other, other)
    assert half['fp'][0] == 1
    more = line(excuse, excuse, excuse, other, other)
    assert more == at(c=4, fn=1)


def test_panoptic_counts__void_and_crowd_excuse_together():
    got = line((1000, VOID, -1), (1000, 0, -1), (1000, 4, 0))
    assert got == at(c=4, fn=1)


def test_panoptic_counts__crowd_of_another_class_excuses_nothing():
    assert line((1000, 1, -1), (1000, 1, -1)) == at(c=0, fp=1)


def test_panoptic_counts__crowd_is_no_segment():
    # neither missed nor found, and no void: it stays in the union
    assert line((5, 0, -1)) == at(c=0)
    assert line((0, 0, -1)) == at(c=0)
    got = line((1000, 0, -1), (1000, 0, 1), (1000, 0, 1))
    assert got == at(c=0, iou=2 / 3, tp=1)


def test_panoptic_counts__thing_predicted_without_instance():
    assert line((0, 0, 4), (0, 0, 4)) == at(c=0, iou=1, tp=1)


def test_panoptic_counts__predicted_void_is_missed():
    assert line((5, 3, 0), (-1, 3, 0), (7005, 3, 0)) == at(c=3, fn=1)


def test_panoptic_counts__ignore_index():
    got = line((3, 3, 0), (3, 9, -1), (3, 9, -1), ignore_index=9)
    assert got == at(c=3, iou=1, tp=1)


@pytest.mark.parametrize('size', [(3, 4), (0, 4)])
def test_panoptic_quality__nothing_there(size):
    void = torch.full(size, VOID)
    counts = panoptic_counts(void * 0 + 5, void, void * 0 - 1, **CLASSES)
    assert not torch.stack([part.double() for part in counts]).any()
    assert torch.stack(class_quality(counts)).isnan().all()
    scores = panoptic_quality(counts, num_things=3)
    assert len(scores) == 9
    assert all(math.isnan(value) for value in scores.values())


@pytest.mark.parametrize('num_things, empty', [(0, '_th'), (5, '_st')])
def test_panoptic_quality__empty_split(num_things, empty):
    got = panoptic_quality(PanopticCounts(
        torch.ones(5).double(), *torch.ones(3, 5).long()),
        num_things=num_things)
    for name, value in got.items():
        assert math.isnan(value) == name.endswith(empty)


def test_class_quality__class_without_a_match():
    counts = PanopticCounts(
        torch.zeros(2).double(), *torch.tensor([[0, 0], [2, 0], [0, 0]]))
    got = torch.stack(class_quality(counts))
    assert got[:, 0].tolist() == [0, 0, 0] and got[:, 1].isnan().all()
    assert panoptic_quality(counts, num_things=1)['SQ'] == 0


@pytest.mark.parametrize('columns, text', [
    ([(17, 3, 0)], r'`prediction` .* in \[0, 5\), or 5 .* got class 17'),
    ([(4017, 3, 0)], 'got class 17; set `num_classes`'),
    ([(3, 7, 0)], r'`semantic` must lie in \[0, 5\) or be 255 .* got 7'),
    ([(3, -1, 0)], '`semantic` .* got -1; set `num_classes` or `ignore_ind'),
    ([(3, 1, 0)], r'`instances` must not be 0 .*PaintInstanceMap\(num_thin'),
])
def test_panoptic_counts__bad_values(columns, text):
    with pytest.raises(ValueError, match=text):
        line(*columns)


@pytest.mark.parametrize('options, error, text', [
    (dict(num_things=6), ValueError, '`num_things` must be at most the 5'),
    (dict(num_things=-1), ValueError, '`num_things` must be at least 0'),
    (dict(num_things=1.), TypeError, '`num_things` must be an integer'),
    (dict(num_classes=0), ValueError, '`num_classes` must be at least 1'),
    (dict(num_classes=1000), ValueError, '`num_classes` must be below 1000'),
])
def test_panoptic_counts__bad_classes(options, error, text):
    with pytest.raises(error, match=text):
        line((3, 3, 0), **options)


@pytest.mark.parametrize('place, value, error, text', [
    (0, torch.zeros(2, 3), TypeError, '`prediction` must be integers'),
    (0, torch.zeros(1, 2, 3).int(), ValueError,
     r'`prediction` must have shape \(H, W\), got \(1, 2, 3\); add up'),
    (1, torch.zeros(3, 2).int(), ValueError,
     r'`semantic` must have shape \(2, 3\), got \(3, 2\)'),
    (1, torch.zeros(2, 3), TypeError, '`semantic` must be integers'),
    (2, torch.zeros(3).int(), ValueError, '`instances` must have shape'),
    (2, torch.zeros(2, 3), TypeError, '`instances` must be integers'),
])
def test_panoptic_counts__bad_maps(place, value, error, text):
    maps = [torch.zeros(2, 3).int() + 3 for _ in range(3)]
    maps[place] = value
    with pytest.raises(error, match=text):
        panoptic_counts(*maps, **CLASSES)


def test_panoptic_quality__bad_num_things():
    counts = PanopticCounts(*torch.ones(4, 5))
    with pytest.raises(ValueError, match='`num_things` must be at most'):
        panoptic_quality(counts, num_things=6)
