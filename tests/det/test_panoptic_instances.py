"""Instances of one image: parts, classes, small ones, painting."""
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn.functional import interpolate, normalize, one_hot
from torch.utils._python_dispatch import TorchDispatchMode

from mmpixsort.det.heads import panoptic_instances
from mmpixsort.det.heads.panoptic_instances import (cut_things,
                                                    instances_of_cells)
from mmpixsort.det.heads import enlarging
from mmpixsort.det.heads.enlarging import enlarge_cells
from mmpixsort.det.heads.panoptic_results import panoptic_of_image
from mmpixsort.det.heads.panoptic_rules import PanopticRules

CUT = dict(cell_area=16., max_clusters=32, num_iters=5, location_weight=.2)
RULES = PanopticRules(threshold=.5, min_area=1)


def found_in(labels, embeddings, rules=RULES, logits=None, min_cells=0.,
             num_things=2):
    if logits is None:
        logits = 20. * one_hot(labels, 4).permute(2, 0, 1)
    return instances_of_cells(
        logits, normalize(embeddings, dim=0), num_things=num_things, cut=CUT,
        rules=rules, min_cells=min_cells)


def boxes_map(boxes, size=(24, 36), classes=None):
    """Classes, 2 elsewhere, and ids of boxes y, x, height, width."""
    labels, ids = torch.full(size, 2), torch.zeros(size).long()
    for k, (y, x, height, width) in enumerate(boxes):
        ids[y:y + height, x:x + width] = k + 1
        labels[y:y + height, x:x + width] = classes[k] if classes else 0
    return labels, ids


@pytest.mark.parametrize('seed', range(4))
def test_cut_things__parts_are_scipys_components(seed):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (8, 10), generator=g)
    labels = labels.repeat_interleave(3, 0).repeat_interleave(3, 1)
    got = cut_things(labels, torch.randn(4, 24, 30, generator=g), CUT)
    parts = torch.cat([got.parts, torch.tensor([-1])])[got.ids].numpy()
    count, seen = 0, set()
    for c in range(2):
        want, number = ndimage.label(labels.numpy() == c)
        for k in range(1, number + 1):
            own = parts[want == k]
            assert (own == own[0]).all() and own[0] not in seen
            seen.add(own[0])
            segments = got.ids[torch.from_numpy(want == k)].unique()
            most = max(1, round(len(own) / CUT['cell_area']))
            assert len(segments) <= min(most, CUT['max_clusters'])
            assert (got.classes[segments] == c).all()
        count += number
    assert len(seen) == count and (parts[labels.numpy() < 0] == -1).all()
    assert torch.equal(got.areas, got.ids[got.ids >= 0].bincount())


@pytest.mark.parametrize('merge', ['linkage', 'meanshift'])
def test_instances__far_things_of_one_class_and_look_are_two(merge):
    labels, ids = boxes_map([(2, 2, 3, 3), (18, 30, 3, 3)])
    alike = torch.ones(4, *ids.shape)
    rules = RULES._replace(merge=merge, concentration=10.)
    got = found_in(labels, alike, rules)
    assert got.labels.tolist() == [0, 0]
    assert (got.ids[ids == 1] == 0).all() and (got.ids[ids == 2] == 1).all()
    if merge == 'linkage':  # unless parts of what is occluded may join
        joined = found_in(labels, alike, rules._replace(far_threshold=.9))
        assert len(joined.labels) == 1


def test_instances__as_many_as_there_are():
    boxes = [(y, x, 2, 2) for y in range(0, 60, 4) for x in range(0, 120, 4)]
    labels, ids = boxes_map(boxes, (60, 120))
    got = found_in(labels, torch.ones(4, 60, 120))
    assert len(got.labels) == 450 and ((got.ids >= 0) == (ids > 0)).all()


def test_instances__room_is_bounded(monkeypatch):
    monkeypatch.setattr(panoptic_instances, 'MAX_SEGMENTS', 3)
    boxes = [(0, 4 * k, 2 + k, 3) for k in range(6)]
    labels, ids = boxes_map(boxes)
    got = found_in(labels, torch.ones(4, *ids.shape))
    assert got.ids.unique().tolist() == [-1, 0, 1, 2]
    assert ((got.ids >= 0) == (ids > 3)).all()  # the largest


@pytest.mark.parametrize('same', [True, False])
def test_instances__class_by_mean_probability(same):
    """A car, a part of which looks like a truck."""
    labels, ids = boxes_map([(4, 4, 8, 12), (4, 16, 8, 5)], classes=[0, 1])
    g = torch.Generator().manual_seed(0)
    logits = 3. * one_hot(labels, 4).permute(2, 0, 1) + torch.randn(
        4, *ids.shape, generator=g) * .3
    kinds = ids.clamp(max=1) if same else ids
    got = found_in(labels, one_hot(kinds, 4).permute(2, 0, 1).float(),
                   logits=logits)
    assert len(got.labels) == 2 - same
    shares = logits.double().numpy()
    shares = np.exp(shares) / np.exp(shares).sum(0)
    for k in range(len(got.labels)):
        mean = shares[:2, (got.ids == k).numpy()].mean(1)
        assert got.labels[k] == mean.argmax()
        assert got.scores[k].item() == pytest.approx(mean.max(), rel=1e-5)
    assert got.labels.tolist() == ([0] if same else [0, 1])


@pytest.mark.parametrize('cosine, joins', [(.6, True), (.4, False)])
def test_instances__small_ones_join_the_most_similar_segment(cosine, joins):
    """A large thing, unlike on average, one segment of which is similar."""
    labels, ids = boxes_map([(0, 0, 24, 8), (10, 8, 2, 2)])
    embeddings = torch.zeros(3, *ids.shape)
    embeddings[0], embeddings[1, 8:14, :8] = 1., .5
    unit = normalize(embeddings, dim=0)
    near = unit[:, 11, 7]
    side = torch.tensor([-near[1], near[0], 0.])
    away = torch.tensor([0., 0., 1.])
    assert near @ side == 0
    embeddings[:, 10:12, 8:10] = (
        cosine * near + (1 - cosine**2)**.5 * away)[:, None, None]
    # .6 to what touches; .55 or so on average
    rules = RULES._replace(threshold=.58)
    apart = found_in(labels, embeddings, rules)
    assert len(apart.labels) == 2
    got = found_in(labels, embeddings, rules, min_cells=5.)
    assert len(got.labels) == 2 - joins


def test_panoptic_of_image__small_things_around_nothing_are_void():
    labels, ids = boxes_map([(2, 2, 6, 6), (18, 30, 2, 2)])
    logits = 20. * one_hot(labels, 4).permute(2, 0, 1)
    rules = RULES._replace(min_area=5)
    found = panoptic_of_image(
        logits, torch.ones(4, *ids.shape) / 2, ids.shape, num_things=2,
        cut=CUT, rules=rules)
    panoptic = found['pan_results'].sem_seg[0]
    assert (panoptic[ids == 2] == 4).all()
    assert (panoptic[ids == 1] == 1000).all()
    assert torch.equal(found['sem_results'].sem_seg[0], labels.int())
    few = panoptic_of_image(
        logits, torch.ones(4, *ids.shape) / 2, ids.shape, num_things=2,
        cut=CUT, rules=RULES._replace(max_instances=1))
    assert len(few['ins_results']) == 1
    assert (few['pan_results'].sem_seg[0][ids == 2] == 4).all()


def vote_loop(ids, size):
    """The bilinear weights of the cells around each pixel, one by one."""
    result = torch.full(size, -1)
    ids = ids.tolist()
    sides = [len(ids), len(ids[0])]
    for i in range(size[0]):
        for j in range(size[1]):
            votes = {}
            place = [max(0., (p + .5) * n / length - .5) for p, n, length in
                     zip((i, j), sides, size)]
            for a in range(2):
                for b in range(2):
                    y, x = (min(int(p) + o, n - 1) for p, o, n in
                            zip(place, (a, b), sides))
                    weights = [p - int(p) if o else 1 - p + int(p)
                               for p, o in zip(place, (a, b))]
                    votes[ids[y][x]] = votes.get(
                        ids[y][x], 0.) + weights[0] * weights[1]
            votes = {k: v for k, v in votes.items() if k >= 0 and v > 1e-9}
            best = max(votes.values(), default=0.)
            result[i, j] = next(iter(
                [k for k, v in votes.items() if v > best - 1e-6]), -1)
    return result


@pytest.mark.parametrize('size', [(9, 11), (27, 33), (20, 17), (5, 6)])
def test_enlarge_cells__is_bilinear(size, monkeypatch):
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 9, 11, generator=g)
    ids = torch.randint(-1, 3, (5, 6), generator=g).repeat_interleave(
        2, 0).repeat_interleave(2, 1)[:9, :11]
    whole = enlarge_cells(logits, ids, size, (9, 11))
    monkeypatch.setattr(enlarging, 'MAX_VALUES', 3 * 4 * size[1])
    labels, owners = enlarge_cells(logits, ids, size, (9, 11))
    assert torch.equal(labels, whole[0]) and torch.equal(owners, whole[1])
    want = interpolate(logits[None], size=size, mode='bilinear')[0].argmax(0)
    assert torch.equal(labels, want)
    votes = vote_loop(ids, size)
    near = (owners != votes).sum()  # equal weights may go either way
    assert near <= .03 * owners.numel()


def test_enlarge_cells__padding_inside_a_cell():
    """A part of the map is what the whole is there."""
    g = torch.Generator().manual_seed(0)
    logits, ids = torch.randn(3, 6, 6, generator=g), torch.arange(36).view(
        6, 6)
    labels, owners = enlarge_cells(logits, ids, (24, 24), (6, 6))
    part = enlarge_cells(logits[:, :5, :4], ids[:5, :4], (18, 15), (4.5, 3.75))
    # the last centres lie inside: pixels before those of the cells cut off
    assert torch.equal(part[0][:17, :14], labels[:17, :14])
    assert torch.equal(part[1][:17, :14], owners[:17, :14])


def test_panoptic_of_image__no_number_per_instance_and_pixel():
    largest = 0

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.dtype != torch.bool:
                largest = max(largest, out.untyped_storage().nbytes() // 4)
            return out

    boxes = [(y, x, 4, 4) for y in range(0, 48, 6) for x in range(0, 48, 6)]
    labels, ids = boxes_map(boxes, (48, 48))
    logits = 20. * one_hot(labels, 4).permute(2, 0, 1)
    with Largest():
        found = panoptic_of_image(
            logits, torch.ones(4, 48, 48) / 2, (192, 192), num_things=2,
            cut=CUT, rules=RULES)
    assert len(found['ins_results']) == 64
    assert largest <= 10 * 192 * 192  # 64 maps would be six times that
