# Segment sorting: PSPNet-R101-d8, VOC 2012 (train+), no classifier. Not
# trained yet.
#   tools/dist_train.sh configs/segsort/\
#     segsort_pspnet-r101-d8_4xb4-100k_voc12aug-480x480.py 4
# Stage 1 of train_segsort_mgpu.sh, where one of 5 devices has the loss
# (jyhjinghwang/SegSort at 4e3278b, bashscripts/voc12).
# Stage 2 is the same on train.txt with a tenth of the rate, from the last
# checkpoint.
_base_ = [
    'mmseg::pspnet/pspnet_r101-d8_4xb4-40k_voc12aug-512x512.py',
    '../_base_/methods/segsort.py'
]
crop_size = (480, 480)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=(2048, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(datasets=[
        dict(_base_.dataset_train, pipeline=train_pipeline),
        dict(_base_.dataset_aug, pipeline=train_pipeline)
    ]))
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    classifier='none',
    data_preprocessor=dict(size=crop_size),
    metric_head=dict(
        _base_.segsort,
        in_channels=512,
        num_classes=21,
        # 2 iterations of 25 cells a crop and image
        bank=dict(_base_.segsort.bank, capacity=800)),
    auxiliary_head=None,
    test_cfg=dict(retrieval=dict(num_neighbors=21)))
# momentum, poly decay, and ten times the rate for the embedding layer
optim_wrapper = dict(
    optimizer=dict(lr=2e-3, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(metric_head=dict(lr_mult=10.))))
param_scheduler = [
    dict(
        type='PolyLR',
        eta_min=0.,
        power=0.9,
        begin=0,
        end=100000,
        by_epoch=False)
]
train_cfg = dict(max_iters=100000, val_interval=10000)
default_hooks = dict(checkpoint=dict(interval=10000))
auto_scale_lr = dict(enable=False, base_batch_size=16)
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    # of 10,582 images, for validations while training
    dict(type='mmpixsort.PrototypeBankHook', max_images=1464)
]
