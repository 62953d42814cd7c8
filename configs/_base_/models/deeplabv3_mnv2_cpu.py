# A small DeepLabV3 that trains on a CPU: MobileNetV2, narrow ASPP.
# Starts from mmseg::_base_/models/deeplabv3_r50-d8.py and
# mmseg::mobilenet_v2/mobilenet-v2-d8_deeplabv3_*.py; what differs is said.
norm_cfg = dict(type='BN', requires_grad=True)  # one process: no SyncBN
data_preprocessor = dict(
    type='SegDataPreProcessor',
    # ImageNet statistics, as in every mmseg base model
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        type='MobileNetV2',
        widen_factor=1.0,
        # output stride 16 (DeepLabV3, arXiv 1706.05587, section 3.2): the
        # host's mobile configs use 8, which costs about three times as much
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6),  # 24, 32, 96, 320 channels
        norm_cfg=norm_cfg),
    decode_head=dict(
        type='ASPPHead',
        in_channels=320,
        in_index=3,
        channels=96,  # host: 512
        # the paper's (6, 12, 18) for crops of 513 at stride 16, halved for
        # crops of about half that side
        dilations=(1, 3, 6, 9),
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=norm_cfg,
        # crops of 32 k + 1 pixels put feature and image grids corner on
        # corner
        align_corners=True,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None,
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
