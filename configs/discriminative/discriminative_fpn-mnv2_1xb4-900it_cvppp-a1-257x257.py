# Discriminative loss on leaves (CVPPP A1): half an hour on a CPU core.
#   python tools/train.py configs/discriminative/\
#       discriminative_fpn-mnv2_1xb4-900it_cvppp-a1-257x257.py --cfg-options \
#       model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=path/to/backbone.pth
# Measured: 86.82 SBD on the last 28 plants, seed 0 (docs/results.md).
_base_ = [
    '../_base_/models/instance_fpn_mnv2_cpu.py',
    '../_base_/datasets/cvppp_a1.py',
    '../_base_/schedules/schedule_instances_cpu.py'
]
model = dict(
    # leaves are about 20 pixels wide, so features start at stride 2
    backbone=dict(out_indices=(0, 1, 2, 4, 6)),
    neck=dict(in_channels=[16, 24, 32, 96, 320], num_outs=5),
    head=dict(
        # 16 dimensions, coordinates, the given foreground in the test and the
        # bandwidth are those of De Brabandere et al., section 4
        embed_dims=16,
        trunk=dict(coordinates='relative'),
        foreground='annotated',
        clusters=dict(
            type='mmpixsort.MeanShiftBackend',
            bandwidth=1.5,
            reassign='nearest',
            min_pixels=20)))
# One size in training and test, as for DSB2018; 32 * 8 + 1 suits a CPU.
image_scale = (257, 257)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadInstanceMap'),
    dict(type='Resize', scale=image_scale, keep_ratio=False),
    # plants are seen from above, so both flips are natural
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=False),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='mmpixsort.LoadInstanceMap'),
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs')
]
train_dataloader = dict(
    num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
custom_hooks = [dict(type='mmpixsort.MemoryBankHook')]
max_iters = 900
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
