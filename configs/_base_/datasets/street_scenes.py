# Generated street scenes, the same on every machine and without a download.
# The size is 32 k + 1 for align_corners=True, near half of that of CamVid.
dataset_type = 'mmpixsort.StreetScenesDataset'
scene_size = (193, 257)
crop_size = (193, 193)
num_train, num_val, num_test = 256, 32, 64
train_pipeline = [
    dict(type='mmpixsort.LoadStreetScene', cache_size=num_train),
    # cat_max_ratio as in mmseg::_base_/datasets/ade20k.py and the others
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    # no resizing and no PhotoMetricDistortion, as scale and light vary between
    # scenes anyway
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='mmpixsort.LoadStreetScene', cache_size=num_val + num_test),
    dict(type='PackSegInputs')
]
# no workers: a small CPU is busy with the model, and a single process
# generates each scene only once
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        num_images=num_train,
        size=scene_size,
        split='train',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        num_images=num_val,
        size=scene_size,
        split='val',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        num_images=num_test,
        size=scene_size,
        split='test',
        test_mode=True,
        pipeline=test_pipeline))

val_evaluator = dict(type='mmpixsort.PerClassIoUMetric')
test_evaluator = val_evaluator
