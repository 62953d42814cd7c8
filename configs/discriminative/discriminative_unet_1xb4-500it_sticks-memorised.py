# Discriminative loss on eight scenes of sticks, which are memorised and also
# used for the test. This shows that loss, clustering and metric are correct.
# Measured: 99.05 SBD, seed 0 (docs/results.md).
#   python tools/train.py configs/discriminative/\
#       discriminative_unet_1xb4-500it_sticks-memorised.py
_base_ = './discriminative_unet_1xb4-2000it_sticks.py'
train_dataloader = dict(
    dataset=dict(num_images=8, pipeline=_base_.test_pipeline))
val_dataloader = dict(dataset=dict(num_images=8, split='train'))
test_dataloader = val_dataloader
max_iters = 500
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
