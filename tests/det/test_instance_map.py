"""PaintInstanceMap and PackInstanceInputs."""
import numpy as np
import pytest
from mmdet.structures.mask import BitmapMasks

from mmpixsort.det.transforms import PackInstanceInputs, PaintInstanceMap


def results(masks, ignored=None, labels=None, **more):
    masks = np.asarray(masks, np.uint8)
    num = len(masks)
    return dict(
        gt_masks=BitmapMasks(list(masks), *masks.shape[1:]),
        gt_bboxes_labels=np.arange(num) if labels is None else labels,
        gt_ignore_flags=np.asarray(ignored or [0] * num, bool), **more)


def boxes(*corners, size=(6, 8)):
    masks = np.zeros((len(corners), *size), np.uint8)
    for mask, (top, left, bottom, right) in zip(masks, corners):
        mask[top:bottom, left:right] = 1
    return masks


def test_paint__small_lies_on_large_and_ids_follow_the_labels():
    found = PaintInstanceMap()(results(
        boxes((0, 0, 2, 2), (0, 0, 6, 6), (0, 0, 0, 0), (4, 6, 6, 8))))
    ids = found['gt_instance_map']
    assert ids.dtype == np.int32
    assert (ids[0, 0], ids[3, 3], ids[5, 7], ids[0, 7]) == (1, 2, 3, 0)
    # the third mask is empty: its label is gone with it
    assert found['gt_instance_labels'].tolist() == [0, 1, 3]
    assert 'gt_masks' not in found


def test_paint__what_is_covered_has_no_id():
    found = PaintInstanceMap()(results(
        boxes((1, 1, 3, 3), (0, 0, 4, 4), (1, 1, 3, 3))))
    assert set(np.unique(found['gt_instance_map'])) == {0, 1, 2}
    assert len(found['gt_instance_labels']) == 2


def test_paint__ignored_masks_and_small_ones():
    found = PaintInstanceMap(min_pixels=4)(results(
        boxes((0, 0, 6, 8), (0, 0, 3, 3), (5, 5, 6, 6)), ignored=[1, 0, 0]))
    ids = found['gt_instance_map']
    assert (ids[0, 0], ids[5, 5], ids[4, 4]) == (1, -1, -1)
    assert found['gt_instance_labels'].tolist() == [1]


def test_paint__crowd_and_void_of_a_semantic_map():
    semantic = np.full((6, 8), 2, np.uint8)  # stuff
    semantic[:3] = 1  # things, of which one has a mask
    semantic[5] = 255
    given = results(boxes((0, 0, 2, 2)), gt_seg_map=semantic)
    ids = PaintInstanceMap(num_things=2)(given)['gt_instance_map']
    assert (ids[0, 0], ids[0, 5], ids[4, 0], ids[5, 0]) == (1, -1, 0, -1)
    given = results(boxes((0, 0, 2, 2)), gt_seg_map=semantic)
    assert PaintInstanceMap()(given)['gt_instance_map'][0, 5] == 0


def test_paint__more_ids_than_a_byte():
    masks = np.arange(400)[None] == np.arange(300)[:, None]
    found = PaintInstanceMap()(results(masks.reshape(300, 20, 20)))
    assert found['gt_instance_map'].max() == 300
    assert found['gt_instance_labels'].tolist() == list(range(300))


def test_pack__more_ids_than_two_bytes():
    ids = np.arange(90000, dtype=np.int32).reshape(300, 300)
    packed = PackInstanceInputs()(dict(
        img=np.zeros((300, 300, 3), np.uint8), gt_instance_map=ids,
        gt_instance_labels=np.zeros(89999, np.int64), img_id=5))
    sample = packed['data_samples']
    assert sample.gt_instance_map.data.max() == 89999
    assert len(sample.gt_instances.labels) == 89999
    assert sample.img_id == 5 and 'masks' not in sample.gt_instances


def test_paint__no_masks_at_all():
    found = PaintInstanceMap()(results(np.zeros((0, 6, 8))))
    assert (found['gt_instance_map'] == 0).all()
    assert len(found['gt_instance_labels']) == 0
    with pytest.raises(ValueError, match='must hold `gt_masks`'):
        PaintInstanceMap()(dict(gt_bboxes=[]))
    with pytest.raises(ValueError, match='must hold `gt_instance_map`'):
        PackInstanceInputs()(dict(gt_bboxes=[]))
    plain = dict(img=np.zeros((6, 8, 3), np.uint8))  # of a new image
    assert PaintInstanceMap()(plain) is plain
    assert 'gt_instance_map' not in PackInstanceInputs(meta_keys=())(
        plain)['data_samples']
