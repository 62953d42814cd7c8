# Segment sorting and pixel contrast together on CamVid on a CPU: two metric
# heads beside the classifier; retrieval uses the first.
_base_ = [
    '../_base_/models/deeplabv3_mnv2_cpu.py',
    '../_base_/datasets/camvid.py', 'mmseg::_base_/default_runtime.py',
    '../_base_/schedules/schedule_cpu_400it.py',
    '../_base_/methods/segsort.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    data_preprocessor=dict(size=_base_.crop_size),
    metric_head=[
        dict(_base_.segsort, in_channels=96, num_classes=11, upsample=2),
        # as pixel-contrast_deeplabv3-mnv2_1xb4-400it_camvid.py
        dict(
            type='mmpixsort.PixelContrastHead',
            in_channels=320,
            in_index=3,
            num_classes=11,
            embed_dims=64,
            sampler=dict(
                type='mmpixsort.HardAnchorSampler', max_samples=512),
            bank=dict(type='mmpixsort.ClassQueue', capacity=500),
            warmup_iters=_base_.max_iters // 8)
    ],
    test_cfg=dict(retrieval=dict(_base_.retrieval, grid=(10, 10))))
randomness = dict(seed=0)
