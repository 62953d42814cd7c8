# Generated street scenes with instances, the same on every machine and without
# a download. There are 6 thing classes (poles, trees, signs, cars, people) and
# 5 stuff classes. The size is 32 k + 1 for align_corners=True, small enough
# for a CPU.
dataset_type = 'mmpixsort.StreetScenesPanopticDataset'
scene_size = (193, 257)
crop_size = (193, 193)
num_train, num_val, num_test = 256, 32, 64
# A scene has about 17 objects. One in eight is far away and smaller than 16
# pixels, the area of a cell of a feature map of stride 4; it is not counted.
min_pixels = 16
train_pipeline = [
    dict(type='LoadImageFromNDArray'),
    dict(type='mmpixsort.LoadPanopticMap'),
    # no resizing, as scale and light vary between scenes anyway
    dict(type='RandomCrop', crop_size=crop_size, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='mmpixsort.PaintInstanceMap',
        num_things=6,
        min_pixels=min_pixels),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromNDArray'),
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(
        type='mmpixsort.PaintInstanceMap',
        num_things=6,
        min_pixels=min_pixels),
    dict(type='mmpixsort.PackInstanceInputs')
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
        cache_size=num_train,
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

val_evaluator = [dict(type='mmpixsort.PanopticQualityMetric')]
test_evaluator = val_evaluator
