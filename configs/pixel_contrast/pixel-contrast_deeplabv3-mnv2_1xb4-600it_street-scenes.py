# Pixel contrast on generated street scenes: the default of demo/run_demo.py.
#   python tools/train.py configs/pixel_contrast/\
#       pixel-contrast_deeplabv3-mnv2_1xb4-600it_street-scenes.py
_base_ = [
    '../_base_/models/deeplabv3_mnv2_cpu.py',
    '../_base_/datasets/street_scenes.py', 'mmseg::_base_/default_runtime.py',
    '../_base_/schedules/schedule_cpu_600it.py',
    '../_base_/methods/pixel_contrast.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    data_preprocessor=dict(size=_base_.crop_size),
    metric_head=dict(
        _base_.pixel_contrast,
        in_channels=320,
        in_index=3,
        num_classes=11,
        # released: 256; 64 suffice for 11 classes and keep a CPU step short
        embed_dims=64,
        # released: 1024; the small grids offer about 500
        sampler=dict(_base_.pixel_contrast.sampler, max_samples=512),
        # released: 5000 a class, for 2975 images; 256 scenes here
        bank=dict(type='mmpixsort.ClassQueue', capacity=500),
        # the released share of the schedule
        warmup_iters=_base_.max_iters // 8))
custom_hooks = _base_.custom_hooks + [
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
randomness = dict(seed=0)
