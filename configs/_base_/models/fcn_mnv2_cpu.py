# A small host that trains on a CPU and sees thin things: MobileNetV2, its
# four levels resized to stride 4 and joined, one layer, the classifier. The
# head is the FCNHead of mmseg::_base_/models/fcn_hr18.py, which joins the
# levels of HRNet in the same way, with narrower channels.
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
        # the network's own strides (arXiv 1801.04381, table 2), to 32
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
        # sides of 32 k + 1 pixels put feature and image grids corner on
        # corner
        align_corners=True,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None,
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
