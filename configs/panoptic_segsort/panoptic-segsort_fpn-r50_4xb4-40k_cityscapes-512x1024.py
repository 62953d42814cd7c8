# Panoptic segment sorting on Cityscapes, ResNet-50 and FPN of Mask R-CNN. Not
# trained yet.
#   tools/dist_train.sh configs/panoptic_segsort/\
#       panoptic-segsort_fpn-r50_4xb4-40k_cityscapes-512x1024.py 4
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/schedule_instances.py',
    '../_base_/methods/panoptic_segsort.py'
]
model = dict(
    _delete_=True,
    type='mmpixsort.PanopticSegSort',
    data_preprocessor=dict(
        _base_.model.data_preprocessor, pad_mask=False),
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    head=dict(
        _base_.panoptic_segsort,
        in_index=0,
        in_channels=256,
        num_things=8,
        num_stuff=11,
        channels=128,
        num_convs=2,
        # the usual bound on stuff of Cityscapes
        rules=dict(min_stuff_area=2048)))
