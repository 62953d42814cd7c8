"""What the head predicts is what CocoMetric takes: perfect masks score 1."""
import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from pycocotools import mask as coco_mask

from mmpixsort.det.heads.instance_results import instances_of_image
from mmpixsort.layers import MeanShiftBackend
from mmpixsort.metrics import InstanceMapMetric


def scene(seed):
    """Ids (H, W) of squares, and labels of two classes."""
    g = np.random.default_rng(seed)
    ids, labels = np.zeros((40, 60), np.int64), []
    for y in range(2, 36, 12):
        for x in range(2, 56, 14):
            labels.append(int(g.integers(2)))
            side = int(g.integers(6, 11))
            ids[y:y + side, x:x + side] = len(labels)
    return ids, labels


def annotations(scenes):
    images, objects = [], []
    for number, (ids, labels) in enumerate(scenes):
        images.append(dict(id=number, height=40, width=60,
                           file_name=f'{number}.png'))
        for k, label in enumerate(labels, 1):
            rle = coco_mask.encode(np.asfortranarray(ids == k, np.uint8))
            rle['counts'] = rle['counts'].decode()
            objects.append(dict(
                id=len(objects) + 1, image_id=number, category_id=label + 1,
                segmentation=rle, area=int((ids == k).sum()), iscrowd=0,
                bbox=[float(v) for v in coco_mask.toBbox(rle)]))
    return dict(images=images, annotations=objects, categories=[
        dict(id=1, name='a'), dict(id=2, name='b')])


def prediction(number, ids, labels):
    """What the head makes of perfect embeddings and probabilities."""
    table = np.array([2, *labels])
    probabilities = np.eye(3)[table[ids]].transpose(2, 0, 1)
    # ids on a grid of a plane, 5 apart
    places = np.stack([ids % 4, ids // 4]) * 5.
    sample = DetDataSample(
        pred_instances=instances_of_image(
            torch.from_numpy(places).float(),
            torch.from_numpy(probabilities).float(), MeanShiftBackend(),
            class_split='class', foreground=None),
        gt_instance_map=PixelData(data=torch.from_numpy(ids)[None].int()))
    sample.set_metainfo(dict(img_id=number, ori_shape=(40, 60)))
    return sample.to_dict()


def test_metrics__of_perfect_masks(tmp_path):
    scenes = [scene(seed) for seed in range(3)]
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(annotations(scenes)))
    coco = CocoMetric(ann_file=str(path), metric=['segm', 'bbox'])
    maps = InstanceMapMetric()
    for metric in (coco, maps):
        metric.dataset_meta = dict(classes=('a', 'b'))
        for number, (ids, labels) in enumerate(scenes):
            metric.process({}, [prediction(number, ids, labels)])
    scores = coco.evaluate(len(scenes))
    assert scores['coco/segm_mAP'] == 1
    assert scores['coco/bbox_mAP'] == 1
    scores = maps.evaluate(len(scenes))
    assert scores['SBD'] == pytest.approx(100)
    assert scores['abs_DiC'] == 0 and scores['DSB_AP'] == 100
