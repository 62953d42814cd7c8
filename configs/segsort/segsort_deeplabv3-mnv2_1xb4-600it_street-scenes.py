# Segment sorting on generated street scenes on a CPU, no data needed.
#   python tools/train.py configs/segsort/\
#       segsort_deeplabv3-mnv2_1xb4-600it_street-scenes.py
_base_ = [
    '../_base_/models/deeplabv3_mnv2_cpu.py',
    '../_base_/datasets/street_scenes.py', 'mmseg::_base_/default_runtime.py',
    '../_base_/schedules/schedule_cpu_600it.py',
    '../_base_/methods/segsort.py'
]
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    classifier='none',
    data_preprocessor=dict(size=_base_.crop_size),
    metric_head=dict(
        _base_.segsort, in_channels=96, num_classes=11, upsample=2),
    test_cfg=dict(retrieval=dict(_base_.retrieval, grid=(10, 10))))
custom_hooks = _base_.custom_hooks + [
    dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=8)
]
test_evaluator = [
    dict(type='mmpixsort.PerClassIoUMetric'),
    dict(type='mmpixsort.BoundaryFMetric')
]
val_evaluator = test_evaluator
randomness = dict(seed=0)
