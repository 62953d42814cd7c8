# Panoptic segment sorting on COCO with ResNet-50 and FPN of Mask R-CNN. Not
# trained yet. The 40k iterations (our choice) are 5.4 epochs.
#   tools/dist_train.sh configs/panoptic_segsort/\
#       panoptic-segsort_fpn-r50_4xb4-40k_coco-640x640.py 4
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_panoptic.py',
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
        num_things=80,
        num_stuff=53,
        trunk=dict(channels=128, num_convs=2),  # our choice
        # keys of one iteration: 4 GPUs x 4 images x max_segments (256)
        bank=dict(_base_.panoptic_segsort.bank, capacity=4096),
        # as in mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py
        rules=dict(min_stuff_area=4096)))
# the head uses only the finest level of the pyramid
find_unused_parameters = True
