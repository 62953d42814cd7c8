# Discriminative loss on generated scattered sticks, from random weights: eight
# minutes on a CPU core. Measured: 91.70 and 92.29 SBD on the test scenes,
# seeds 0 and 1 (docs/results.md).
#   python tools/train.py \
#       configs/discriminative/discriminative_unet_1xb4-2000it_sticks.py
_base_ = [
    '../_base_/models/instance_unet_cpu.py',
    '../_base_/datasets/sticks_instances.py',
    '../_base_/schedules/schedule_instances_cpu.py'
]
# smaller clusters are mixed pixels between sticks; chosen on the val scenes
model = dict(
    head=dict(
        clusters=dict(type='mmpixsort.MeanShiftBackend', min_pixels=40)))
custom_hooks = [
    dict(type='mmpixsort.MemoryBankHook'),
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
max_iters = 2000
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
