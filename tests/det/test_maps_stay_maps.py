"""What data sets pack of a map of ids equals what they pack of masks.

The way by masks is kept here: the `LoadAnnotations` of mmdet, a stack of
masks for a panoptic map, and each mask painted over those below.
"""
import copy
import random
import tracemalloc

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet')

import mmdet.datasets  # noqa: E402,F401  registers the host's transforms
from mmcv.transforms import Compose  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from PIL import Image  # noqa: E402
from pycocotools import mask as coco  # noqa: E402

import mmpixsort.det.datasets  # noqa: E402,F401  registers what is tested
from mmpixsort.datasets.instance_maps import instances_of_map  # noqa: E402
from mmpixsort.datasets.panoptic_maps import join_maps  # noqa: E402
from mmpixsort.det.transforms import (  # noqa: E402
    IdMapMasks, LoadInstanceMap, LoadPanopticMap, PaintInstanceMap)
from mmpixsort.registry import DATASETS, TRANSFORMS  # noqa: E402

BASE = 'configs/_base_/datasets/{}.py'
CONFIGS = dict(
    sticks=BASE.format('sticks_instances'),
    cvppp=BASE.format('cvppp_a1'),
    cvppp_small=('configs/discriminative/discriminative_fpn-mnv2_1xb4-900it_'
                 'cvppp-a1-257x257.py'),
    dsb2018=BASE.format('dsb2018_instances'),
    cityscapes=BASE.format('cityscapes_instances'))
PANOPTIC = dict(
    cityscapes=BASE.format('cityscapes_panoptic'),
    coco=BASE.format('coco_panoptic'),
    cwfid=BASE.format('cwfid_panoptic'),
    street=BASE.format('street_scenes_panoptic'),
    voc=BASE.format('voc_panoptic'))
SIZE = (66, 110)


class StackedPanopticMap(LoadPanopticMap):
    """Load a stack of masks, and boxes of them."""

    def transform(self, results):
        ids, segments = results['panoptic_map'], results['segments_info']
        results = super().transform(results)
        stack = [(ids == item['id']).astype(np.uint8) for item in segments
                 if item['is_thing'] and (ids == item['id']).any()]
        results['gt_masks'] = BitmapMasks(stack, *ids.shape)
        results['gt_bboxes'] = results['gt_masks'].get_bboxes('hbox')
        return results


class PaintStack(PaintInstanceMap):
    """Paint masks one after the other."""

    def _paint(self, masks, ignored):
        masks = masks.to_ndarray()
        areas = np.array([np.count_nonzero(mask) for mask in masks], int)
        order = np.lexsort((-areas, ~ignored))
        painted = np.zeros(masks.shape[1:], np.int32)
        for rank in order:
            np.copyto(painted, -1 if ignored[rank] else rank + 1,
                      where=masks[rank] != 0)
        numbers, counts = np.unique(
            painted[painted > 0], return_counts=True)
        shown = numbers[counts >= self.min_pixels]
        table = np.full(len(masks) + 2, -1, np.int32)
        table[0] = 0
        table[shown] = np.arange(1, len(shown) + 1)
        return table[painted], shown - 1


OLD = dict(
    LoadInstanceMap=dict(
        type='LoadAnnotations', with_bbox=True, with_mask=True),
    LoadPanopticMap=dict(type=StackedPanopticMap),
    PaintInstanceMap=dict(type=PaintStack))


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def short(value):
    return type(value)(
        item // 8 if isinstance(item, int) else item for item in value)


def pipelines(path):
    """Return the pipelines of a config, for images from memory.

    Sizes of 480 pixels and more are an eighth of what they are.
    """
    cfg = Config.fromfile(path)
    found = {}
    for split in ('train', 'test'):
        steps = cfg[f'{split}_pipeline'].copy()
        assert 'LoadAnnotations' not in [step.type for step in steps]
        steps[0] = dict(type='LoadImageFromNDArray')
        for step in steps:
            for key in ('scale', 'crop_size', 'size'):
                if max(step.get(key, (0, ))) >= 480:
                    step[key] = short(step[key])
        found[split] = steps
    return found


def old_way(steps):
    """Take masks in place of maps."""
    return [
        dict(OLD[name], **{k: v for k, v in step.items() if k != 'type'})
        if (name := step['type'].split('.')[-1]) in OLD else step
        for step in steps]


def blobs(rng, count, size=SIZE):
    """Ids of blobs that hide each other; some may be hidden wholly."""
    y, x = np.ogrid[:size[0], :size[1]]
    ids = np.zeros(size, np.int32)
    for ident in range(1, count + 1):
        centre, radius = rng.uniform(0, size), rng.uniform(2, 12)
        ids[(y - centre[0])**2 + (x - centre[1])**2 < radius**2] = ident
    return ids


def image(rng, size=SIZE):
    return dict(
        img=rng.integers(0, 256, (*size, 3)).astype(np.uint8), img_id=3,
        img_path='3.png', height=size[0], width=size[1])


def of_memory(rng, tmp_path):
    """As sticks: a map in memory."""
    ids = blobs(rng, 14) * 3  # numbers need not be consecutive
    ids[:3, :8] = -1
    return dict(instance_map=ids, instances=instances_of_map(ids))


def of_file(rng, tmp_path):
    """As leaves: a file of ids."""
    ids = blobs(rng, 14)
    path = tmp_path / 'label.png'
    Image.fromarray(ids.astype(np.uint8)).save(path)
    return dict(label_path=str(path), fg_path=None,
                instances=instances_of_map(ids))


def of_coco(rng, tmp_path):
    """As nuclei and streets: run lengths, polygons, crowds, and broken ones.

    They overlap, and boxes do not fit their masks.
    """
    instances = []
    for k in range(16):
        mask = np.asfortranarray(blobs(rng, 1).astype(np.uint8))
        run = coco.encode(mask)
        run['counts'] = run['counts'].decode()
        x, y, width, height = coco.toBbox(run).tolist()
        corners = [x, y, x + width, y, x + width / 2, y + height + 2.5]
        instances.append(dict(
            bbox=[x - 1, y + 1.5, x + width - 2, y + height],
            bbox_label=k % 5, ignore_flag=int(k % 5 == 1),
            mask=[[corners], run, [corners, [1, 1, 9, 1, 9, 9]],
                  [[1, 2]]][k % 4 if k % 12 == 3 else k % 3]))
        if k % 3 == 0 and k % 12 != 3:
            instances[-1]['mask'] = [corners]
    return dict(instances=instances)


SOURCES = dict(sticks=of_memory, cvppp=of_file, cvppp_small=of_file,
               dsb2018=of_coco, cityscapes=of_coco)


def of_panoptic(rng, num_things):
    semantic = rng.integers(0, num_things + 1, (6, 10)).repeat(11, 0).repeat(
        11, 1)
    semantic[:4] = 255
    ids, segments = join_maps(
        semantic, blobs(rng, 40), num_things=num_things)
    # numbers as large as those of colours, in no order, and one that is lost
    factor = 101 if num_things < 9 else 1
    segments = [dict(item, id=item['id'] * factor) for item in segments]
    segments.append(dict(id=1 + 2**24, category=0, is_thing=True, iscrowd=0))
    segments = [segments[k] for k in rng.permutation(len(segments))]
    return dict(panoptic_map=ids * factor, segments_info=segments)


def run(steps, results, seed):
    """Run a pipeline, and return what it leaves of the random numbers."""
    np.random.seed(seed)
    random.seed(seed)
    torch.manual_seed(seed)
    results = Compose(copy.deepcopy(steps))(copy.deepcopy(results))
    return results, (np.random.get_state()[1].tolist(), random.getstate())


def check_before_painting(steps, results, seed):
    """Compare masks, boxes, labels and flags."""
    (found, state), (want, old_state) = (
        run(way[:-2], results, seed) for way in (steps, old_way(steps)))
    assert state == old_state
    assert (found is None) == (want is None)
    if found is None:
        return False
    assert isinstance(found['gt_masks'], IdMapMasks)
    assert type(want['gt_masks']) is BitmapMasks
    for key in ('img', 'gt_bboxes_labels', 'gt_ignore_flags', 'gt_seg_map'):
        assert (key in found) == (key in want)
        if key in want:
            assert np.array_equal(found[key], want[key])
            assert found[key].dtype == want[key].dtype
    assert torch.equal(found['gt_bboxes'].tensor, want['gt_bboxes'].tensor)
    assert np.array_equal(found['gt_masks'].masks, want['gt_masks'].masks)
    return True


def check_packed(steps, results, seed):
    found, want = (run(way, results, seed)[0]
                   for way in (steps, old_way(steps)))
    assert torch.equal(found['inputs'], want['inputs'])
    found, want = found['data_samples'], want['data_samples']
    assert set(found.keys()) == set(want.keys())
    assert set(found.metainfo) == set(want.metainfo)
    ids = found.gt_instance_map.data, want.gt_instance_map.data
    assert torch.equal(*ids) and ids[0].dtype == ids[1].dtype
    labels = found.gt_instances.labels, want.gt_instances.labels
    assert torch.equal(*labels) and labels[0].dtype == labels[1].dtype
    if 'gt_sem_seg' in want:
        assert torch.equal(found.gt_sem_seg.sem_seg, want.gt_sem_seg.sem_seg)
    return int(ids[0].max())


def check(path, make, seeds=8):
    """Compare both ways, for several scenes and random numbers."""
    for split, steps in pipelines(path).items():
        most = 0
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            results = dict(image(rng), **make(rng))
            if check_before_painting(steps, results, seed):
                most = max(most, check_packed(steps, results, seed))
        assert most > 5, split


@pytest.mark.parametrize('name', CONFIGS)
def test_instances__of_each_config(repo_root, name, tmp_path):
    check(repo_root / CONFIGS[name],
          lambda rng: SOURCES[name](rng, tmp_path))


@pytest.mark.parametrize('name', PANOPTIC)
def test_panoptic__of_each_config(repo_root, name):
    path = repo_root / PANOPTIC[name]
    things = Config.fromfile(path).train_pipeline[-2].num_things
    check(path, lambda rng: of_panoptic(rng, things))


@pytest.mark.parametrize('name', ['sticks', 'street'])
def test_generated__as_the_data_set_gives_them(repo_root, name):
    cfg = Config.fromfile(repo_root / {**CONFIGS, **PANOPTIC}[name])
    for split in ('train', 'val'):
        data = cfg[f'{split}_dataloader'].dataset
        scenes = DATASETS.build(dict(data, pipeline=[]))
        for index in range(4):
            assert check_before_painting(
                data.pipeline, scenes[index], index)
            assert check_packed(data.pipeline, scenes[index], index) > 2


def test_dsb2018__real_files(repo_root, shared_data):
    root = shared_data / 'dsb2018'
    if not root.is_dir():
        pytest.skip(f'no {root}')
    data = Config.fromfile(
        repo_root / CONFIGS['dsb2018']).train_dataloader.dataset
    scenes = DATASETS.build(dict(data, data_root=str(root), pipeline=[]))
    for index in range(0, 532, 60):
        assert check_before_painting(data.pipeline, scenes[index], index)
        check_packed(data.pipeline, scenes[index], index)


@pytest.mark.parametrize('make', [of_memory, of_file, of_coco])
def test_load_instances__masks_are_left_for_a_host(make, tmp_path):
    """A model of mmdet trains on masks; it gets the same."""
    rng = np.random.default_rng(0)
    results = dict(image(rng), **make(rng, tmp_path))
    steps = [dict(type='LoadImageFromNDArray'),
             dict(type='mmpixsort.LoadInstanceMap'),
             dict(type='PackDetInputs', meta_keys=('img_id', ))]
    for part in ('gt_instances', 'ignored_instances'):
        found, want = (run(way, results, 0)[0]['data_samples'].get(part)
                       for way in (steps, old_way(steps)))
        assert torch.equal(found.labels, want.labels)
        assert torch.equal(found.bboxes.tensor, want.bboxes.tensor)
        assert torch.equal(*(item.masks.to_tensor(torch.uint8, 'cpu')
                             for item in (found, want)))


def test_load_instances__memory_does_not_grow_with_the_masks():
    size = (200, 300)
    ids = np.arange(60000, dtype=np.int32).reshape(size) // 300 + 1
    instances = instances_of_map(ids)
    for part in (dict(instance_map=ids), dict()):
        results = dict(ori_shape=size, instances=instances, **part)
        tracemalloc.start()
        results = PaintInstanceMap()(LoadInstanceMap()(results))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # a stack of 200 masks is 200 bytes a pixel
        assert peak < 30 * 60000
        assert np.array_equal(results['gt_instance_map'], ids)


def test_load_instances__an_image_without_any():
    results = LoadInstanceMap()(dict(ori_shape=(4, 5)))
    assert results['gt_masks'].masks.shape == (0, 4, 5)
    assert results['gt_bboxes'].tensor.shape == (0, 4)


@pytest.mark.parametrize('change, error, text', [
    (dict(ori_shape=(4, 6)), ValueError,
     r"map of 'a.png' must have the size \(4, 6\) of its image"),
    (dict(instance_map=np.ones((4, 5))), TypeError, 'integers, got float64'),
    (dict(instances=[dict(bbox=[0, 0, 1, 1], bbox_label=0, ignore_flag=0)]),
     ValueError, '`id` that it has in the map.*instances_of_map'),
])
def test_load_instances__bad_input(change, error, text):
    ids = np.ones((4, 5), np.int32)
    results = dict(img_path='a.png', ori_shape=(4, 5), instance_map=ids,
                   instances=instances_of_map(ids))
    assert len(LoadInstanceMap()(dict(results))['gt_masks']) == 1
    with pytest.raises(error, match=text):
        LoadInstanceMap()(dict(results, **change))


def test_load_instances__is_registered():
    assert TRANSFORMS.get('LoadInstanceMap') is LoadInstanceMap
