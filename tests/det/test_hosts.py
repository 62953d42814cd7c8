"""Backbones and necks of MMDetection configs, taken over by inheritance."""
import copy

import pytest
import tiny_instances as tiny
import torch
from mmengine.registry import init_default_scope

from mmpixsort.apis.attach.attachment import load_config
from mmpixsort.registry import MODELS

HOSTS = {
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py': 256,
    'mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py': 1024,
    'hrnet/mask-rcnn_hrnetv2p-w18-1x_coco.py': 256,
    'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py': 256,
    'pafpn/faster-rcnn_r50_pafpn_1x_coco.py': 256,
    'res2net/faster-rcnn_res2net-101_fpn_2x_coco.py': 256,
    'pvt/retinanet_pvt-t_fpn_1x_coco.py': 256,
    'yolox/yolox_s_8xb8-300e_coco.py': 128,
    'solo/solo_r50_fpn_1x_coco.py': 256,
}


@pytest.mark.parametrize('name', HOSTS)
def test_host__backbone_and_neck_train_and_predict(name):
    host = load_config('mmdet::' + name).model
    init_default_scope('mmdet')
    backbone = copy.deepcopy(host.backbone)
    backbone.init_cfg = None
    backbone.pop('pretrained', None)
    config = tiny.config(
        dict(in_index=0, in_channels=HOSTS[name], num_classes=2),
        backbone=backbone, neck=host.get('neck'),
        data_preprocessor=dict(
            type='DetDataPreprocessor', pad_size_divisor=32))
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    inputs, samples = tiny.batch((64, 64), (40, 60), model=model)
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    grads = [p.grad for p in model.backbone.parameters()
             if p.grad is not None]
    assert any(grad.abs().sum() > 0 for grad in grads)
    model.eval()
    found = model.predict(inputs, samples)
    assert found[1].pred_instances.masks.shape[1:] == (40, 60)
