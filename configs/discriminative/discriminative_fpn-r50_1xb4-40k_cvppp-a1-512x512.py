# Discriminative loss on leaves (CVPPP A1), with ResNet-50 and FPN of Mask
# R-CNN. Not trained yet; the data may not be redistributed.
#   python tools/train.py configs/discriminative/\
#       discriminative_fpn-r50_1xb4-40k_cvppp-a1-512x512.py
# 16 dimensions, coordinates beside the feature and the given foreground in the
# test are those of De Brabandere et al., section 4, who use a ResNet-38.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/cvppp_a1.py',
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
        num_classes=1,
        embed_dims=16,
        trunk=dict(channels=128, num_convs=2, coordinates='relative'),
        foreground='annotated'))
# the head does not use these levels of the pyramid
find_unused_parameters = True
custom_hooks = [dict(type='mmpixsort.MemoryBankHook')]
