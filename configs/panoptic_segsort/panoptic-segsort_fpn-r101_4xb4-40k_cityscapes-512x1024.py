# Panoptic segment sorting on Cityscapes with ResNet-101 and FPN. Not trained
# yet.
#   tools/dist_train.sh configs/panoptic_segsort/\
#       panoptic-segsort_fpn-r101_4xb4-40k_cityscapes-512x1024.py 4
_base_ = './panoptic-segsort_fpn-r50_4xb4-40k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(
        depth=101,
        # as in mmdet::mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py
        init_cfg=dict(
            type='Pretrained', checkpoint='torchvision://resnet101')))
