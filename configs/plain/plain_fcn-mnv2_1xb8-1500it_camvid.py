# The small host on CamVid without a metric head: less than an hour on two CPU
# cores. The methods are compared with it, and their configs inherit it and add
# one key. Measured: 60.75 mIoU, seed 0 (docs/results.md).
#   python tools/train.py configs/plain/plain_fcn-mnv2_1xb8-1500it_camvid.py \
#       --cfg-options model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=path/to/backbone.pth
_base_ = [
    '../_base_/models/fcn_mnv2_cpu.py', '../_base_/datasets/camvid.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/schedules/schedule_cpu_1500it.py'
]
# 32 k + 1, about three quarters of the image
crop_size = (257, 353)
train_pipeline = _base_.train_pipeline
train_pipeline[3].crop_size = crop_size
model = dict(data_preprocessor=dict(size=crop_size))
train_dataloader = dict(
    batch_size=8, dataset=dict(pipeline=train_pipeline))
test_evaluator = [
    dict(type='mmpixsort.PerClassIoUMetric'),
    dict(type='mmpixsort.BoundaryFMetric')
]
val_evaluator = test_evaluator
randomness = dict(seed=0)
