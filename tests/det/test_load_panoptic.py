"""LoadPanopticMap on maps made by hand."""
import tracemalloc

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet')

from PIL import Image  # noqa: E402

from mmpixsort.datasets.panoptic_maps import id_to_rgb  # noqa: E402
from mmpixsort.det.transforms import (  # noqa: E402
    LoadPanopticMap, PackInstanceInputs, PaintInstanceMap)

# 0 and 9 are in no list
IDS = np.array([
    [70000, 70000, 0, 5, 5, 5],
    [70000, 0, 0, 300, 300, 5],
    [9, 9, 0, 8, 8, 5],
])
SEGMENTS = [
    dict(id=300, category=1, is_thing=True, iscrowd=False),
    dict(id=5, category=3, is_thing=False, iscrowd=False),
    dict(id=70000, category=0, is_thing=True, iscrowd=False),
    dict(id=8, category=1, is_thing=True, iscrowd=True),
]
SEMANTIC = np.array([
    [0, 0, 255, 3, 3, 3],
    [0, 255, 255, 1, 1, 3],
    [255, 255, 255, 1, 1, 3],
])


@pytest.fixture
def path(tmp_path):
    Image.fromarray(id_to_rgb(IDS)).save(tmp_path / 'map.png')
    return str(tmp_path / 'map.png')


def load(segments=SEGMENTS, transform=None, **results):
    return (transform or LoadPanopticMap())(
        dict(segments_info=[dict(item) for item in segments], **results))


@pytest.mark.parametrize('dtype', [np.int32, np.int64])
def test_load__file_and_memory(path, dtype):
    for results in (load(seg_map_path=path, ori_shape=(3, 6)),
                    load(panoptic_map=IDS.astype(dtype))):
        assert results['gt_seg_map'].dtype == np.uint8
        assert np.array_equal(results['gt_seg_map'], SEMANTIC)
        masks = results['gt_masks'].masks
        for mask, ident in zip(masks, (300, 70000, 8)):
            assert np.array_equal(mask, IDS == ident)
        assert len(masks) == 3 and masks.dtype == np.uint8
        assert results['gt_bboxes_labels'].tolist() == [1, 0, 1]
        assert results['gt_bboxes_labels'].dtype == np.int64
        assert results['gt_ignore_flags'].tolist() == [False, False, True]
        assert results['gt_bboxes'].tensor.tolist() == [
            [3, 1, 5, 2], [0, 0, 2, 2], [3, 2, 5, 3]]
        assert results['ignore_index'] == 255
        assert 'panoptic_map' not in results


def test_load__then_painted_and_packed():
    results = load(panoptic_map=IDS, img=np.zeros((3, 6, 3), np.uint8))
    packed = PackInstanceInputs()(PaintInstanceMap(num_things=2)(results))
    sample = packed['data_samples']
    assert sample.gt_instance_map.data[0].tolist() == [
        [2, 2, -1, 0, 0, 0], [2, -1, -1, 1, 1, 0], [-1, -1, -1, -1, -1, 0]]
    assert sample.gt_instances.labels.tolist() == [1, 0]
    assert np.array_equal(sample.gt_sem_seg.sem_seg[0], SEMANTIC)


def test_load__against_a_loop():
    rng = np.random.default_rng(0)
    numbers = rng.choice(2**24, 60, replace=False)
    ids = rng.choice(numbers, (20, 30))
    segments = [
        dict(id=int(number), category=rank % 7, is_thing=rank % 7 < 3,
             iscrowd=rank % 14 == 1) for rank, number in enumerate(
                 numbers[:40])
    ]
    results = load(segments, panoptic_map=ids)
    boxes = results['gt_masks'].get_bboxes('hbox').tensor
    assert torch.equal(results['gt_bboxes'].tensor, boxes)
    things = [s for s in segments if s['is_thing'] and s['id'] in ids]
    assert len(results['gt_masks']) == len(things)
    want = np.full(ids.shape, 255)
    for segment in segments:
        want[ids == segment['id']] = segment['category']
    assert np.array_equal(results['gt_seg_map'], want)
    for segment, mask, label, flag in zip(
            things, results['gt_masks'].masks, results['gt_bboxes_labels'],
            results['gt_ignore_flags']):
        assert np.array_equal(mask, ids == segment['id'])
        assert label == segment['category'] and flag == segment['iscrowd']


def test_load__memory_does_not_grow_with_the_masks():
    ids = np.arange(60000).reshape(200, 300) // 300 + 1
    segments = [dict(id=k, category=0, is_thing=True, iscrowd=0)
                for k in range(1, 201)]
    tracemalloc.start()
    results = PaintInstanceMap()(load(segments, panoptic_map=ids))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # a stack of 200 masks is 200 bytes a pixel
    assert peak < 30 * 60000
    assert np.array_equal(results['gt_instance_map'], ids)


@pytest.mark.parametrize('segments', [[], SEGMENTS[1:2]])
def test_load__no_things(segments):
    results = load(segments, panoptic_map=IDS)
    assert results['gt_masks'].masks.shape == (0, 3, 6)
    assert results['gt_bboxes'].tensor.shape == (0, 4)
    assert results['gt_bboxes_labels'].shape == (0, )
    assert set(np.unique(results['gt_seg_map'])) <= {3, 255}
    PaintInstanceMap(num_things=2)(results)


def test_load__missing_segment_warns_once(warnings_of_log):
    lost = SEGMENTS + [dict(id=77, category=0, is_thing=True, iscrowd=0)]
    transform = LoadPanopticMap()
    for _ in range(3):
        results = load(lost, transform, panoptic_map=IDS, img_path='a.jpg')
        assert np.array_equal(results['gt_seg_map'], SEMANTIC)
        assert len(results['gt_masks']) == 3
    assert len(warnings_of_log) == 1
    assert "segments [77] of 'a.jpg'" in warnings_of_log[0]


def test_load__missing_segment_is_an_error():
    lost = SEGMENTS + [dict(id=77, category=0, is_thing=True, iscrowd=0)]
    transform = LoadPanopticMap(missing='error')
    with pytest.raises(ValueError, match=r"\[77\] of image 4.*missing='warn'"):
        load(lost, transform, panoptic_map=IDS, img_id=4)
    load(SEGMENTS, transform, panoptic_map=IDS)


@pytest.mark.parametrize('results', [
    dict(img_path='a.jpg'), dict(seg_map_path=None, segments_info=[])])
def test_load__an_image_without_ground_truth_passes_through(results):
    assert LoadPanopticMap()(dict(results)) == results


@pytest.mark.parametrize('results, text', [
    (dict(panoptic_map=IDS, ori_shape=(3, 5), img_id=3),
     r'size \(3, 5\) of its image, got \(3, 6\)'),
    (dict(panoptic_map=IDS, segments=SEGMENTS[:2] + SEGMENTS[:1]),
     r'each id once, got \[300\]'),
    (dict(panoptic_map=IDS, segments=[dict(SEGMENTS[0], category=255)]),
     r'in \[0, 254\], got \[255\]'),
])
def test_load__bad_input(results, text):
    with pytest.raises(ValueError, match=text):
        load(**results)


def test_load__bad_arguments():
    with pytest.raises(ValueError, match='`missing` must be one of warn'):
        LoadPanopticMap(missing='skip')
    with pytest.raises(ValueError, match='must hold `segments_info`'):
        LoadPanopticMap()(dict(panoptic_map=IDS))
    assert "missing='warn'" in repr(LoadPanopticMap())
