# A small host that trains on a CPU and can segment thin things. The four
# levels of MobileNetV2 are resized to stride 4 and concatenated; one layer and
# the classifier follow. The head is the FCNHead of
# mmseg::_base_/models/fcn_hr18.py, which combines the levels of HRNet in the
# same way, with fewer channels.
# no SyncBN, as there is only one process
norm_cfg = dict(type='BN', requires_grad=True)
data_preprocessor = dict(
    type='SegDataPreProcessor',
    # statistics of ImageNet, as in every base model of mmseg
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
        # the original strides (arXiv 1801.04381, table 2), up to 32
        strides=(1, 2, 2, 2, 1, 2, 1),
        dilations=(1, 1, 1, 1, 1, 1, 1),
        out_indices=(1, 2, 4, 6),  # strides 4, 8, 16, 32
        norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead',
        in_channels=[24, 32, 96, 320],
        in_index=(0, 1, 2, 3),
        input_transform='resize_concat',
        channels=128,
        kernel_size=1,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=norm_cfg,
        # with sides of 32 k + 1 pixels the corners of the feature grid lie on
        # those of the image grid
        align_corners=True,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None,
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
