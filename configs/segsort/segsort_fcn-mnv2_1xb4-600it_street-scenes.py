# Segment sorting on generated street scenes on a CPU, no data needed.
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
            # there is no classifier to say what is hard
            hardness='random')),
    # SPML's share: twice the grid of training on the whole image
    test_cfg=dict(retrieval=dict(_base_.retrieval, grid=(10, 10))))
custom_hooks = _base_.custom_hooks + [
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
