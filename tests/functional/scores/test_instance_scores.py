"""Instance scores against loops, SciPy and cases by hand."""
import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from mmpixsort.functional.scores.instances import (IOU_THRESHOLDS, best_dice,
                                                   count_difference,
                                                   instance_overlaps,
                                                   mask_overlaps,
                                                   precision_at_iou,
                                                   symmetric_best_dice)


def as_map(text):
    """Read a map: rows by `/`, a digit a pixel, `-` is -1."""
    return torch.tensor([[-1 if char == '-' else int(char) for char in row]
                         for row in text.split('/')])


def random_maps(seed, size=(13, 11), most=6):
    """Return a true map with ignored pixels and a damaged copy."""
    g = torch.Generator().manual_seed(seed)
    truth = torch.randint(most, size, generator=g)
    truth = truth.repeat_interleave(2, 0)[:size[0]].sort(1).values
    pred = truth.roll(seed % 2, 1)
    noisy = torch.rand(size, generator=g) < .05
    pred[noisy] = torch.randint(most + 2, size, generator=g)[noisy]
    truth *= 3000000000
    truth[torch.rand(size, generator=g) < .1] = -1
    return pred * 40000, truth


def random_masks(seed, count, size=(6, 7)):
    """Return masks that overlap much, as a small set of boxes does."""
    g = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, *size, dtype=torch.bool)
    for mask in masks:
        top, left = torch.randint(2, (2, ), generator=g).tolist()
        height, width = torch.randint(3, 6, (2, ), generator=g).tolist()
        mask[top:top + height, left:left + width] = True
    return masks


def pixel_sets(pred, truth):
    """Return the pixels of every instance as sets, ignored ones left out."""
    sides = []
    for ids in (pred.numpy(), truth.numpy()):
        members = {}
        for y, x in np.ndindex(*ids.shape):
            if truth[y, x] >= 0 and ids[y, x] > 0:
                members.setdefault(ids[y, x], set()).add((y, x))
        sides.append([members[key] for key in sorted(members)])
    return sides


def mask_sets(masks):
    return [set(map(tuple, mask.nonzero().tolist())) for mask in masks]


def best_dice_loop(first, second):
    if not first or not second:
        return float(not first and not second)
    return float(np.mean([
        max(2 * len(a & b) / (len(a) + len(b)) for b in second)
        for a in first
    ]))


def precision_scipy(pred, truth, threshold):
    if not pred and not truth:
        return 1.
    fits = np.array([[len(a & b) > threshold * len(a | b) for b in truth]
                     for a in pred]).reshape(len(pred), len(truth))
    right = fits[linear_sum_assignment(fits, maximize=True)].sum()
    return right / (len(pred) + len(truth) - right)


def check_all(overlaps, pred, truth):
    """Compare all scores with those of the sets of pixels."""
    assert overlaps.pred_areas.tolist() == [len(a) for a in pred]
    assert overlaps.truth_areas.tolist() == [len(b) for b in truth]
    assert overlaps.intersection.tolist() == [[len(a & b) for b in truth]
                                              for a in pred]
    want = best_dice_loop(pred, truth), best_dice_loop(truth, pred)
    assert torch.stack(best_dice(*overlaps)).tolist() == pytest.approx(want)
    assert symmetric_best_dice(*overlaps).item() == pytest.approx(min(want))
    assert count_difference(*overlaps) == len(pred) - len(truth)
    assert precision_at_iou(*overlaps).tolist() == pytest.approx(
        [precision_scipy(pred, truth, step / 20) for step in range(10, 20)])


def test_scores__fixture_f2():
    overlaps = instance_overlaps(
        as_map('1111/1111/0000'), as_map('1122/1122/3300'))
    dice = best_dice(*overlaps)
    assert dice.pred.item() == pytest.approx(2 / 3)
    assert dice.truth.item() == pytest.approx(4 / 9)
    assert symmetric_best_dice(*overlaps).item() == pytest.approx(4 / 9)
    assert count_difference(*overlaps) == -2


@pytest.mark.parametrize('seed', range(20))
def test_scores__equal_loops(seed):
    pred, truth = random_maps(seed)
    check_all(instance_overlaps(pred, truth), *pixel_sets(pred, truth))


@pytest.mark.parametrize('seed', range(10))
def test_scores__masks_of_maps_equal_maps(seed):
    pred, truth = random_maps(seed)
    masks = (ids == ids[ids > 0].unique()[:, None, None]
             for ids in (pred, truth))
    of_masks = mask_overlaps(*masks, valid=truth >= 0)
    for got, want in zip(of_masks, instance_overlaps(pred, truth)):
        assert torch.equal(got, want)


@pytest.mark.parametrize('seed', range(20))
def test_scores__overlapping_masks_equal_loops(seed):
    pred, truth = random_masks(seed, 9), random_masks(seed + 100, 7)
    check_all(
        mask_overlaps(pred, truth), mask_sets(pred), mask_sets(truth))


@pytest.mark.parametrize('threshold', [0., .2, .4])
def test_precision_at_iou__low_thresholds_match_one_to_one(threshold):
    pred, truth = random_masks(1, 9), random_masks(2, 12)
    got = precision_at_iou(
        *mask_overlaps(pred, truth), thresholds=[threshold])
    assert got.item() == pytest.approx(
        precision_scipy(mask_sets(pred), mask_sets(truth), threshold))


def test_precision_at_iou__moves_a_partner():
    # the first row could take the only column of the second
    areas = torch.tensor([10, 10])
    overlaps = torch.tensor([[8, 8], [8, 0]]), areas, areas
    assert precision_at_iou(*overlaps, thresholds=[.5]).item() == 1


@pytest.mark.parametrize('step', range(10, 20))
def test_precision_at_iou__just_the_threshold_is_no_match(step):
    overlaps = torch.tensor([[step]]), torch.tensor([step]), torch.tensor([20])
    got = precision_at_iou(*overlaps)
    assert got.tolist() == [float(i < step) for i in range(10, 20)]
    assert IOU_THRESHOLDS[step - 10] == pytest.approx(.05 * step)


@pytest.mark.parametrize('pred, truth, want', [
    ('00/00', '00/00', 1),
    ('10/00', '00/00', 0),
    ('00/00', '10/00', 0),
    ('11/00', '--/00', 1),
    ('11/00', '--/10', 0),
    ('11/11', '--/--', 1),
])
def test_scores__empty_maps(pred, truth, want):
    pred, truth = as_map(pred), as_map(truth)
    overlaps = instance_overlaps(pred, truth)
    assert [value.item() for value in best_dice(*overlaps)] == [want, want]
    assert precision_at_iou(*overlaps).tolist() == [want] * 10
    check_all(overlaps, *pixel_sets(pred, truth))


def test_scores__no_pixel_and_no_mask():
    nothing = torch.zeros(0, 4, dtype=torch.long)
    check_all(instance_overlaps(nothing, nothing), [], [])
    masks = random_masks(0, 3)
    check_all(mask_overlaps(masks, masks[:0]), mask_sets(masks), [])
    check_all(mask_overlaps(masks[:0], masks[:0]), [], [])


def test_instance_overlaps__ignored_pixels_count_for_neither():
    got = instance_overlaps(as_map('1112/0022'), as_map('11--/0033'))
    assert got.intersection.tolist() == [[2, 0], [0, 2]]
    assert got.pred_areas.tolist() == got.truth_areas.tolist() == [2, 2]
    assert symmetric_best_dice(*got) == 1


def test_mask_overlaps__by_hand():
    pred = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 1]]])
    truth = torch.tensor([[[1, 1, 1, 0]]])
    valid = torch.tensor([[True, True, True, False]])
    got = mask_overlaps(pred.bool(), truth.bool(), valid=valid)
    assert got.intersection.tolist() == [[2], [2]]
    assert got.pred_areas.tolist() == [2, 2]
    # both fit above .5, the truth has one partner
    assert precision_at_iou(*got, thresholds=[.5]).item() == .5
    assert best_dice(*got).truth.item() == pytest.approx(.8)


def test_mask_overlaps__under_autocast():
    masks = torch.ones(1, 70, 70, dtype=torch.bool)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert mask_overlaps(masks, masks).intersection.item() == 4900


@pytest.mark.parametrize('last', [255, 256, 65535, 65536, 70000])
def test_instance_overlaps__many_ids(last):
    pred = torch.arange(1, last + 1).view(1, -1)
    truth = torch.ones_like(pred)
    got = instance_overlaps(pred, truth)
    assert got.intersection.tolist() == [[1]] * last
    assert best_dice(*got).truth.item() == pytest.approx(2 / (last + 1))
    assert count_difference(*got) == last - 1


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32])
def test_instance_overlaps__integers_of_any_width(dtype):
    pred, truth = as_map('1122/1222'), as_map('1133/1333')
    got = instance_overlaps(pred.to(dtype), truth.to(dtype))
    assert got.intersection.tolist() == [[3, 0], [0, 5]]


@pytest.mark.parametrize('seed', range(3))
def test_scores__permuted_ids(seed):
    pred, truth = random_maps(seed)
    g = torch.Generator().manual_seed(seed)
    table = torch.randperm(9, generator=g) * 9 + 1
    table[0] = 0
    renamed = instance_overlaps(table[pred // 40000], truth)
    overlaps = instance_overlaps(pred, truth)
    for score in (symmetric_best_dice, precision_at_iou):
        assert torch.allclose(score(*renamed), score(*overlaps))


@pytest.mark.parametrize('pred, truth, error, text', [
    (torch.zeros(2, 2), torch.zeros(2, 2).long(), TypeError,
     '`pred` must be integers'),
    (torch.zeros(2, 2).long(), torch.zeros(2, 3).long(), ValueError,
     r'`truth` must have shape \(2, 2\), got \(2, 3\)'),
])
def test_instance_overlaps__bad_input(pred, truth, error, text):
    with pytest.raises(error, match=text):
        instance_overlaps(pred, truth)


@pytest.mark.parametrize('changes, text', [
    (dict(pred=torch.ones(2, 6, 7).long()), '`pred` must be bool masks'),
    (dict(pred=torch.ones(6, 7).bool()), '`pred` must be bool masks'),
    (dict(truth=torch.ones(2, 6, 8).bool()), r'`truth` .* size \(6, 7\)'),
    (dict(valid=torch.ones(7, 6).bool()), r'`valid` .* size \(6, 7\)'),
])
def test_mask_overlaps__bad_input(changes, text):
    masks = torch.ones(2, 6, 7).bool()
    with pytest.raises(ValueError, match=text):
        mask_overlaps(**{**dict(pred=masks, truth=masks), **changes})


@pytest.mark.parametrize('thresholds', [(), (.5, 1.), (-.1, )])
def test_precision_at_iou__bad_thresholds(thresholds):
    overlaps = instance_overlaps(as_map('1'), as_map('1'))
    with pytest.raises(ValueError, match='`thresholds` must be one or more'):
        precision_at_iou(*overlaps, thresholds=thresholds)


@pytest.mark.parametrize(
    'score', [best_dice, count_difference, precision_at_iou])
def test_scores__areas_that_do_not_fit(score):
    overlaps = instance_overlaps(as_map('123'), as_map('110'))
    with pytest.raises(ValueError, match=r'got \(3, 1\) for \(1,\) and'):
        score(overlaps[0], overlaps[2], overlaps[1])
