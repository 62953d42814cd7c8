# A schedule for a quarter of an hour on two CPU cores, from a pretrained
# backbone: that of schedule_cpu_600it.py, but longer and with a lower rate.
_base_ = './schedule_cpu_600it.py'
max_iters = 1500
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [
    dict(_base_.param_scheduler[0], end=100),
    dict(_base_.param_scheduler[1], begin=100, end=max_iters)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
