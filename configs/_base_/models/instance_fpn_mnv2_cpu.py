# MobileNetV2 with a narrow feature pyramid, which trains on a CPU.
data_preprocessor = dict(
    type='DetDataPreprocessor',
    # statistics of ImageNet, as in every base model of mmdet
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=1)
model = dict(
    type='mmpixsort.EmbeddingInstanceSegmentor',
    data_preprocessor=data_preprocessor,
    # that of MMSegmentation, as its weights are used
    backbone=dict(
        _scope_='mmseg',
        type='MobileNetV2',
        out_indices=(1, 2, 4, 6),  # strides 4 to 32
        norm_cfg=dict(type='BN')),
    neck=dict(
        type='FPN',
        in_channels=[24, 32, 96, 320],
        out_channels=64,  # 256 in the host
        num_outs=4),
    head=dict(
        type='mmpixsort.InstanceEmbeddingHead',
        in_index=0,
        in_channels=64,
        num_classes=1,
        embed_dims=8))  # as on Cityscapes in the paper
# the head does not use these levels of the pyramid
find_unused_parameters = True
