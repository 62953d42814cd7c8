# The baseline of the inherited config with a three times longer schedule.
_base_ = './discriminative_fpn-mnv2-components_1xb4-1000it_dsb2018.py'
max_iters = 3000
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
