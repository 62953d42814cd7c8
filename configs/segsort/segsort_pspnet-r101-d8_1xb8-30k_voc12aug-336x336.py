# Segment sorting without a classifier: PSPNet-R101-d8, VOC 2012 (train+). Not
# trained yet.
#   python tools/train.py configs/segsort/\
#     segsort_pspnet-r101-d8_1xb8-30k_voc12aug-336x336.py
# All numbers are those of stage 1 of the authors' train_segsort.sh
# (jyhjinghwang/SegSort at 4e3278b, bashscripts/voc12). Stage 2 starts from the
# last checkpoint and trains on train.txt with a tenth of the rate.
_base_ = [
    'mmseg::pspnet/pspnet_r101-d8_4xb4-40k_voc12aug-512x512.py',
    '../_base_/methods/segsort.py'
]
crop_size = (336, 336)
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
    batch_size=8,
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
        # prototypes of 2 iterations, 25 cells for each crop
        bank=dict(_base_.segsort.bank, capacity=400)),
    auxiliary_head=None,
    test_cfg=dict(retrieval=dict(num_neighbors=15)))
# momentum, poly decay, and a ten times higher rate for the embedding layer
optim_wrapper = dict(
    optimizer=dict(lr=2e-3, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(metric_head=dict(lr_mult=10.))))
param_scheduler = [
    dict(
        type='PolyLR',
        eta_min=0.,
        power=0.9,
        begin=0,
        end=30000,
        by_epoch=False)
]
train_cfg = dict(max_iters=30000, val_interval=3000)
default_hooks = dict(checkpoint=dict(interval=3000))
auto_scale_lr = dict(enable=False, base_batch_size=8)
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    # of 10,582 images, for validations during training
    dict(type='mmpixsort.PrototypeBankHook', max_images=1464)
]
