# A schedule for a few minutes on two CPU cores, from a pretrained backbone.
# Poly decay with power 0.9 is that of mmseg::_base_/schedules/schedule_20k.py.
max_iters = 400
optim_wrapper = dict(
    type='OptimWrapper',
    # AdamW in place of the host's SGD, as it learns more in so few steps
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.01),
    # new layers learn ten times as fast as pretrained ones, as advised by the
    # host for fine-tuning (docs, "customize optimizer") and usual in DeepLab
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.))),
    clip_grad=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(
        type='PolyLR',
        eta_min=1e-6,
        power=0.9,
        begin=30,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=max_iters),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'))
