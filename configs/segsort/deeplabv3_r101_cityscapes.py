# Segment sorting without a classifier: DeepLabV3-R101-d8, Cityscapes. Not
# trained yet.
#   tools/dist_train.sh configs/segsort/deeplabv3_r101_cityscapes.py 8
# then tools/dist_build_bank.sh and tools/dist_test.sh, see README.md.
# Sources: issue 10 of jyhjinghwang/SegSort for the crop of 720, batch 8,
# 150,000 iterations, rate 3e-3, 8 cells an axis in training and 16 in the
# test, and windows of 720 every 480 pixels; the VOC scripts of that repository
# for scales, flips, momentum, decay and poly power.
_base_ = [
    'mmseg::deeplabv3/deeplabv3_r101-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/methods/segsort_cityscapes.py'
]
crop_size = (720, 720)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=(2048, 1024),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=1,  # on each of 8 devices
    dataset=dict(pipeline=train_pipeline))
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    classifier='none',
    data_preprocessor=dict(size=crop_size),
    metric_head=dict(_base_.segsort, in_channels=512, num_classes=19),
    auxiliary_head=None,
    test_cfg=dict(
        mode='slide',
        crop_size=crop_size,
        stride=(480, 480),
        retrieval=_base_.retrieval))
# momentum, poly decay, and a ten times higher rate for the embedding layer
optim_wrapper = dict(
    optimizer=dict(lr=3e-3, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(metric_head=dict(lr_mult=10.))))
param_scheduler = [
    dict(
        type='PolyLR',
        eta_min=0.,
        power=0.9,
        begin=0,
        end=150000,
        by_epoch=False)
]
train_cfg = dict(max_iters=150000, val_interval=15000)
default_hooks = dict(checkpoint=dict(interval=15000))
auto_scale_lr = dict(enable=False, base_batch_size=8)
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    # a tenth of the images, for validations during training; a test uses a
    # bank on disk with all of them
    dict(type='mmpixsort.PrototypeBankHook', max_images=297)
]
