# Panoptic segment sorting on PASCAL VOC 2012 with ResNet-50 and FPN of Mask
# R-CNN. Not trained yet.
#   tools/dist_train.sh configs/panoptic_segsort/\
#       panoptic-segsort_fpn-r50_4xb4-40k_voc12-512x512.py 4
# The paper's numbers are not public as text; numbers without a source are our
# own choice.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/voc_panoptic.py',
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
        num_things=20,
        num_stuff=1,
        trunk=dict(channels=128, num_convs=2),  # our choice
        # keys of one iteration: 4 GPUs x 4 images x max_segments (256)
        bank=dict(_base_.panoptic_segsort.bank, capacity=4096)))
# the head uses only the finest level of the pyramid
find_unused_parameters = True
