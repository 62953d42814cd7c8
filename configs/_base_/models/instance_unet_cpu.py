# A small U-Net at full resolution, which learns instances on a CPU. It has a
# quarter of the channels of mmseg::_base_/models/fcn_unet_s5-d16.py.
data_preprocessor = dict(
    type='DetDataPreprocessor',
    # statistics of ImageNet, as in every base model of mmdet
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=16)  # the network halves the size four times
model = dict(
    type='mmpixsort.EmbeddingInstanceSegmentor',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        _scope_='mmseg',
        type='UNet',
        base_channels=16,
        norm_cfg=dict(type='BN')),
    head=dict(
        type='mmpixsort.InstanceEmbeddingHead',
        in_channels=16,
        num_classes=1,
        embed_dims=16,  # as on leaves in the paper
        trunk=dict(channels=16, coordinates='relative')))  # as in the paper
