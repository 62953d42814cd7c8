"""IdMapMasks give to the bit what BitmapMasks give, in mmdet's transforms."""
import copy
import pickle
import random

import mmcv
import numpy as np
import pytest

pytest.importorskip('mmdet')

from mmdet.registry import TRANSFORMS  # noqa: E402
from mmdet.structures.bbox import HorizontalBoxes  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import mmpixsort.det.datasets  # noqa: E402,F401  registers the transforms
from mmpixsort import compat  # noqa: E402
from mmpixsort.det.transforms import (  # noqa: E402
    IdMapMasks, PaintInstanceMap)

SIZE = (37, 52)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def discs(seed=0, count=12, size=SIZE):
    """Masks that overlap; the last is empty, the first two are equal."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:size[0], :size[1]]
    stack = np.stack([
        (y - rng.uniform(0, size[0]))**2 + (x - rng.uniform(0, size[1]))**2
        < rng.uniform(2, 14)**2 for _ in range(count)]).astype(np.uint8)
    stack[1], stack[-1] = stack[0], 0
    return stack


def pair(stack):
    return (IdMapMasks.from_masks(stack, stack.shape[1:]),
            BitmapMasks(stack.copy(), *stack.shape[1:]))


def same(found, want):
    assert (found.height, found.width) == (want.height, want.width)
    assert len(found) == len(want)
    assert found.areas.tolist() == want.areas.tolist()
    assert found.areas.dtype == want.areas.dtype
    boxes = found.get_bboxes('hbox'), want.get_bboxes('hbox')
    assert np.array_equal(boxes[0].numpy(), boxes[1].numpy())
    assert boxes[0].dtype == boxes[1].dtype
    assert np.array_equal(found.masks, want.masks)
    assert found.masks.dtype == want.masks.dtype


MOVES = dict(
    rescale=lambda m: m.rescale((71, 40)),
    rescale_to_less=lambda m: m.rescale(.37),
    resize=lambda m: m.resize((53, 29)),
    flip=lambda m: m.flip(),
    flip_vertical=lambda m: m.flip('vertical'),
    flip_diagonal=lambda m: m.flip('diagonal'),
    pad=lambda m: m.pad((40, 60)),
    crop=lambda m: m.crop(np.array([5, 3, 30, 28])),
    crop_over_the_edge=lambda m: m.crop(np.array([-5, 3, 90, 90])),
    crop_to_nothing=lambda m: m.crop(np.array([7, 3, 7, 3])),
    expand=lambda m: m.expand(50, 70, 9, 4),
    select=lambda m: m[np.array([7, 2, 2, 0])],
    select_one=lambda m: m[3],
    select_by_flags=lambda m: m[np.arange(len(m)) % 2 == 0],
    select_none=lambda m: m[np.zeros(0, int)],
    select_a_slice=lambda m: m[2:9:3],
    several=lambda m: m[np.array([5, 1, 8])].resize((80, 91)).flip().crop(
        np.array([8, 9, 50, 60])).pad((64, 64)))
STACKED = dict(
    resize_smoothly=lambda m: m.resize((53, 29), 'bilinear'),
    rescale_smoothly=lambda m: m.rescale((53, 29), 'bilinear'),
    pad_with_one=lambda m: m.pad((40, 60), 1),
    translate=lambda m: m.translate(SIZE, 7),
    shear=lambda m: m.shear(SIZE, .2),
    rotate=lambda m: m.rotate(SIZE, 25),
    cat=lambda m: m.cat([m, m.flip()]),
    crop_and_resize=lambda m: m.crop_and_resize(
        np.array([[3., 2, 30, 20], [1, 1, 50, 30]]), (14, 14),
        np.array([2, 5])))


@pytest.mark.parametrize('name', [
    *MOVES, *(pytest.param(name, marks=pytest.mark.skipif(
        name == 'crop_and_resize' and not compat.has_ops(),
        reason='RoIAlign is a compiled operator of mmcv, which are not here'))
        for name in STACKED)])
def test_id_map_masks__move_as_bitmaps_do(name):
    move = {**MOVES, **STACKED}[name]
    found, want = pair(discs())
    found, want = move(found), move(want)
    assert isinstance(found, IdMapMasks) == (name in MOVES)
    same(found, want)


@pytest.mark.parametrize('name', MOVES)
def test_id_map_masks__without_masks(name):
    if name.startswith(('select', 'several')) and name != 'select_none':
        pytest.skip('there is no mask to select')
    found, want = pair(np.zeros((0, *SIZE), np.uint8))
    same(MOVES[name](found), MOVES[name](want))


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_id_map_masks__resize_with_each_backend(backend):
    rng = np.random.default_rng(0)
    mmcv.use_backend(backend)
    try:
        for seed in range(40):
            size, target = rng.integers(1, 90, (2, 2)).tolist()
            found, want = pair(discs(seed, 9, tuple(size)))
            same(found.resize(tuple(target)), want.resize(tuple(target)))
    finally:
        mmcv.use_backend('cv2')


def test_id_map_masks__do_not_share_what_is_written():
    found, want = pair(discs())
    part = found[np.array([0, 4, 5])]
    part.masks[:, 3:20] = 0  # as RandomErasing does
    assert type(part) is BitmapMasks
    same(part.flip(), BitmapMasks(
        np.where(np.arange(37)[:, None] // 20 | (np.arange(37)[:, None] < 3),
                 want.masks[[0, 4, 5]], 0), *SIZE).flip())
    same(copy.deepcopy(found), want)
    found.masks = want.masks[:2]  # as CopyPaste does
    assert found.flip().masks.shape == (2, *SIZE)


def test_id_map_masks__are_pickled_as_maps():
    stack = discs(count=40)
    found, want = pair(stack * (stack.cumsum(0) == 1))
    dumped = pickle.dumps(found)
    assert len(dumped) < want.masks.size
    same(pickle.loads(dumped), want)


def test_id_map_masks__as_few_maps_as_overlaps_need():
    stack = discs()
    assert len(IdMapMasks.from_masks(stack[2:3], SIZE).maps) == 1
    apart = stack * (stack.cumsum(0) == 1)
    assert len(IdMapMasks.from_masks(apart, SIZE).maps) == 1
    overlaps = stack.sum(0).max()
    maps = IdMapMasks.from_masks(stack, SIZE).maps
    assert maps.dtype == np.int32 and overlaps <= len(maps) < len(stack)
    fortran = (np.asfortranarray(mask) for mask in stack)
    assert np.array_equal(IdMapMasks.from_masks(fortran, SIZE).maps, maps)
    with pytest.raises(ValueError, match=r'size \(9, 9\).*got \(37, 52\)'):
        IdMapMasks.from_masks(stack, (9, 9))
    assert 'num_masks=12, height=37' in repr(
        IdMapMasks.from_masks(stack, SIZE))


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('min_pixels', [1, 30])
def test_id_map_masks__are_painted_in_the_same_order(seed, min_pixels):
    rng = np.random.default_rng(seed)
    ignored, labels = rng.random(12) < .3, rng.integers(0, 5, 12)
    semantic = rng.choice([0, 1, 6, 255], SIZE).astype(np.uint8)
    painted = []
    for masks in pair(discs(seed)):
        results = PaintInstanceMap(num_things=5, min_pixels=min_pixels)(dict(
            gt_masks=masks, gt_bboxes_labels=labels, gt_seg_map=semantic,
            gt_ignore_flags=ignored))
        painted.append((results['gt_instance_map'],
                        results['gt_instance_labels']))
    for found, want in zip(*painted):
        assert np.array_equal(found, want) and found.dtype == want.dtype


STEPS = [
    dict(type='Resize', scale=(90, 70), keep_ratio=True),
    dict(type='Resize', scale=(41, 90), keep_ratio=False),
    dict(type='FixScaleResize', scale=(90, 70), keep_ratio=True),
    dict(type='ResizeShortestEdge', scale=30, max_size=40),
    dict(type='RandomResize', scale=(60, 50), ratio_range=(.5, 2.),
         keep_ratio=True),
    dict(type='RandomChoiceResize', scales=[(60, 30), (20, 44)]),
    dict(type='RandomFlip', prob=[.3, .3, .3],
         direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='RandomCrop', crop_size=(20, 18)),
    dict(type='RandomCrop', crop_size=(20, 18), allow_negative_crop=True,
         recompute_bbox=True),
    dict(type='RandomCrop', crop_type='relative_range', crop_size=(.3, .3),
         bbox_clip_border=False),
    dict(type='MinIoURandomCrop'),
    dict(type='Expand', prob=1., seg_ignore_label=255),
    dict(type='Pad', size_divisor=32),
    dict(type='Pad', size=(60, 70), pad_val=dict(img=0, masks=1, seg=255)),
    dict(type='Rotate', prob=1., level=6),
    dict(type='ShearX', prob=1., level=6),
    dict(type='ShearY', prob=1., level=6),
    dict(type='TranslateX', prob=1., level=6),
    dict(type='TranslateY', prob=1., level=6),
    dict(type='RandomErasing', n_patches=3, ratio=.3),
    dict(type='CopyPaste'),
    dict(type='CachedMosaic', img_scale=(40, 30), random_pop=False),
    dict(type='CachedMixUp', img_scale=(40, 30), random_pop=False),
]


def sample(masks, seed):
    rng = np.random.default_rng(seed)
    return dict(
        img=rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8),
        img_shape=SIZE, ori_shape=SIZE, gt_masks=masks,
        gt_bboxes=HorizontalBoxes(
            BitmapMasks(masks.to_ndarray(), *SIZE).get_bboxes(
                'hbox').tensor + 1),
        gt_bboxes_labels=rng.integers(0, 5, len(masks)),
        gt_ignore_flags=rng.random(len(masks)) < .2,
        gt_seg_map=rng.integers(0, 7, SIZE).astype(np.uint8))


def run(step, stack, kind, seed):
    """Return the results of a step, and the state of the generator after it.
    """
    def make(part):
        return sample(pair(part)[kind], seed)

    results = make(stack)
    transform = TRANSFORMS.build(copy.deepcopy(step))
    others = [make(stack[::2]) for _ in range(4)]
    if step['type'] == 'CopyPaste':
        results['mix_results'] = others[:1]
    if step['type'].startswith('Cached'):
        transform.results_cache = others
    np.random.seed(seed)
    random.seed(seed)
    return transform(results), np.random.get_state()[1].tolist()


@pytest.mark.parametrize('step', STEPS, ids=lambda step: step['type'])
def test_id_map_masks__through_each_transform_of_the_host(step):
    for seed in range(6):
        stack = discs(seed)[:-1]
        (found, left), (want, left_want) = (
            run(step, stack, kind, seed) for kind in (0, 1))
        assert left == left_want
        assert (found is None) == (want is None)
        if found is None:
            continue
        for key in ('img', 'gt_bboxes_labels', 'gt_ignore_flags'):
            assert np.array_equal(found[key], want[key])
        assert np.array_equal(found['gt_bboxes'].numpy(),
                              want['gt_bboxes'].numpy())
        assert np.array_equal(found['gt_masks'].to_ndarray(),
                              want['gt_masks'].to_ndarray())
