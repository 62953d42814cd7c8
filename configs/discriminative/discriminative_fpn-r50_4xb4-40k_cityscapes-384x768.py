# Discriminative loss on Cityscapes instances, with ResNet-50 and FPN of Mask
# R-CNN. Not trained yet.
#   tools/dist_train.sh configs/discriminative/\
#       discriminative_fpn-r50_4xb4-40k_cityscapes-384x768.py 4
# The size, 8 dimensions and a separate loss for each class are those of
# De Brabandere et al., section 4, who use a ResNet-38.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/cityscapes_instances.py',
    '../_base_/schedules/schedule_instances.py'
]
model = dict(
    _delete_=True,
    type='mmpixsort.EmbeddingInstanceSegmentor',
    data_preprocessor=dict(
        _base_.model.data_preprocessor, pad_mask=False),
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    head=dict(
        type='mmpixsort.InstanceEmbeddingHead',
        in_index=0,
        in_channels=256,
        num_classes=8,
        embed_dims=8,
        trunk=dict(channels=128, num_convs=2),
        loss=dict(type='mmpixsort.DiscriminativeLoss', push_scope='class')))
# the head does not use these levels of the pyramid
find_unused_parameters = True
custom_hooks = [dict(type='mmpixsort.MemoryBankHook')]
