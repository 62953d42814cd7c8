# A schedule for a few minutes on two CPU cores: AdamW with a rate of 4e-3 and
# poly decay with power 0.9, as in schedule_cpu_600it.py. The paper has Adam
# with 1e-4, from a pretrained network. On sticks a rate of 1e-3 was tried too:
# 74 SBD on the validation scenes.
_base_ = 'mmdet::_base_/default_runtime.py'
max_iters = 1000
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=10., norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(
        type='PolyLR',
        eta_min=1e-6,
        power=0.9,
        begin=50,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=max_iters),
    # reduces the time of a step
    channels_last=dict(type='mmpixsort.ChannelsLastHook'))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
