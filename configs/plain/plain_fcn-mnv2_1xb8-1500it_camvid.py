# The small host on CamVid without a metric head: what the methods are
# compared with, and the base that they inherit by one added key.
#   python tools/train.py configs/plain/plain_fcn-mnv2_1xb8-1500it_camvid.py \
#       --cfg-options model.backbone.init_cfg.type=Pretrained \
#       model.backbone.init_cfg.checkpoint=path/to/backbone.pth
_base_ = [
    '../_base_/models/fcn_mnv2_cpu.py', '../_base_/datasets/camvid.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/schedules/schedule_cpu_1500it.py'
]
# 32 k + 1, three quarters of the image
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
