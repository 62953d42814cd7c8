# The small host on generated street scenes, from random weights and without a
# metric head: a few minutes on two CPU cores. The configs of the methods
# inherit it and add one key.
#   python tools/train.py configs/plain/\
#       plain_fcn-mnv2_1xb4-600it_street-scenes.py
_base_ = [
    '../_base_/models/fcn_mnv2_cpu.py', '../_base_/datasets/street_scenes.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/schedules/schedule_cpu_600it.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
test_evaluator = [
    dict(type='mmpixsort.PerClassIoUMetric'),
    dict(type='mmpixsort.BoundaryFMetric')
]
val_evaluator = test_evaluator
randomness = dict(seed=0)
