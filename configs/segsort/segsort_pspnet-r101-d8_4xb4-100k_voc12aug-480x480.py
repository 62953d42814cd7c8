# Segment sorting without a classifier: PSPNet-R101-d8, VOC 2012 (train+). Not
# trained yet.
#   tools/dist_train.sh configs/segsort/\
#     segsort_pspnet-r101-d8_4xb4-100k_voc12aug-480x480.py 4
# Numbers that differ from the config for one device are those of stage 1 of
# the authors' train_segsort_mgpu.sh (jyhjinghwang/SegSort at 4e3278b,
# bashscripts/voc12), in which one of 5 devices computes the loss.
_base_ = './segsort_pspnet-r101-d8_1xb8-30k_voc12aug-336x336.py'
crop_size = (480, 480)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(datasets=[
        dict(_base_.dataset_train, pipeline=train_pipeline),
        dict(_base_.dataset_aug, pipeline=train_pipeline)
    ]))
model = dict(
    data_preprocessor=dict(size=crop_size),
    # prototypes of 2 iterations, 25 cells for each crop
    metric_head=dict(bank=dict(capacity=800)),
    test_cfg=dict(retrieval=dict(num_neighbors=21)))
param_scheduler = [dict(_base_.param_scheduler[0], end=100000)]
train_cfg = dict(max_iters=100000, val_interval=10000)
default_hooks = dict(checkpoint=dict(interval=10000))
auto_scale_lr = dict(base_batch_size=16)
