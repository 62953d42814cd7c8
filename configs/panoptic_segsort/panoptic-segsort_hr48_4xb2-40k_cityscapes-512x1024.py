# Panoptic segment sorting on Cityscapes with HRNet-W48 of MMSegmentation. Not
# trained yet.
#   tools/dist_train.sh configs/panoptic_segsort/\
#       panoptic-segsort_hr48_4xb2-40k_cityscapes-512x1024.py 4
# The paper's numbers are not public as text; numbers without a source are our
# own choice.
_base_ = [
    '../_base_/models/fcn_hr48.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/schedule_instances.py',
    '../_base_/methods/panoptic_segsort.py'
]
model = dict(
    _delete_=True,
    type='mmpixsort.PanopticSegSort',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=_base_.data_preprocessor.mean,
        std=_base_.data_preprocessor.std,
        bgr_to_rgb=True,
        pad_size_divisor=32),  # stride of the coarsest branch
    backbone=dict(
        _base_.model.backbone,
        _scope_='mmseg',
        init_cfg=dict(
            type='Pretrained', checkpoint=_base_.model.pretrained)),
    head=dict(
        _base_.panoptic_segsort,
        # all branches at stride 4, as in HRNetV2 and in the host's FCN head
        in_index=_base_.model.decode_head.in_index,
        in_channels=sum(_base_.model.decode_head.in_channels),
        num_things=8,
        num_stuff=11,
        trunk=dict(channels=128, num_convs=2),  # our choice
        # keys of one iteration: 4 GPUs x 2 images x max_segments (256)
        bank=dict(_base_.panoptic_segsort.bank, capacity=2048),
        # STUFF_AREA of Panoptic-DeepLab in detectron2, the usual threshold
        rules=dict(min_stuff_area=2048)))
# as in mmseg::hrnet/fcn_hr48_4xb2-40k_cityscapes-512x1024.py
train_dataloader = dict(batch_size=2)
