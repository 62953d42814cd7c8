# Pixel contrast on generated street scenes: the default of demo/run_demo.py.
#   python tools/train.py configs/pixel_contrast/\
#       pixel-contrast_fcn-mnv2_1xb4-600it_street-scenes.py
_base_ = [
    '../plain/plain_fcn-mnv2_1xb4-600it_street-scenes.py',
    '../_base_/methods/pixel_contrast.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    metric_head=dict(
        _base_.pixel_contrast,
        source='decoder',
        in_channels=128,
        num_classes=11,
        # released: 256; 64 suffice for 11 classes and keep a CPU step short
        embed_dims=64,
        # released: 5000 a class, for 2975 images; 256 scenes here
        bank=dict(type='mmpixsort.ClassQueue', capacity=500),
        # the released share of the schedule
        warmup_iters=_base_.max_iters // 8))
custom_hooks = _base_.custom_hooks + [
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
