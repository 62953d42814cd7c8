# Segment sorting on generated street scenes: a few minutes on two CPU cores.
#   python tools/train.py configs/segsort/\
#       segsort_fcn-mnv2_1xb4-600it_street-scenes.py
_base_ = [
    '../plain/plain_fcn-mnv2_1xb4-600it_street-scenes.py',
    '../_base_/methods/segsort.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    classifier='none',
    metric_head=dict(
        _base_.segsort,
        in_channels=128,
        num_classes=11,
        # as on CamVid
        sampler=dict(
            type='mmpixsort.HardAnchorSampler',
            max_samples=4096,
            # without a classifier no pixel is known to be hard
            hardness='random')),
    # as in SPML, the whole image gets twice the grid of training
    test_cfg=dict(retrieval=dict(_base_.retrieval, grid=(10, 10))))
custom_hooks = _base_.custom_hooks + [
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
