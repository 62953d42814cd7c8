# mmseg::_base_/models/deeplabv3_r50-d8.py on ResNet-18 for a CPU, as
# deeplabv3_mnv2_cpu.py: BN for one process, output stride 16, narrow ASPP.
_base_ = 'mmseg::_base_/models/deeplabv3_r50-d8.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(
        depth=18,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=512,
        channels=96,
        dilations=(1, 3, 6, 9),
        num_classes=11,
        norm_cfg=norm_cfg,
        align_corners=True),
    auxiliary_head=None)
