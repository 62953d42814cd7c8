# Discriminative loss on generated scattered sticks, from random weights on a
# CPU.
#   python tools/train.py \
#       configs/discriminative/discriminative_unet_1xb4-1000it_sticks.py
_base_ = [
    '../_base_/models/instance_unet_cpu.py',
    '../_base_/datasets/sticks_instances.py',
    '../_base_/schedules/schedule_instances_cpu.py'
]
custom_hooks = [
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
