# Generated street scenes with instances: no download, the same on every
# machine. 6 classes of things (poles, trees, signs, cars, people), 5 of stuff.
# The size is 32 k + 1 for align_corners=True, for a CPU.
dataset_type = 'mmpixsort.StreetScenesPanopticDataset'
scene_size = (193, 257)
crop_size = (193, 193)
num_train, num_val, num_test = 256, 32, 64
# A scene has some 17 objects. One in eight is far away and smaller than 16
# pixels, a cell of a feature map of stride 4: it does not count.
min_pixels = 16
train_pipeline = [
    dict(type='LoadImageFromNDArray'),
    dict(type='mmpixsort.LoadPanopticMap'),
    # no resizing: scale and light vary in the scenes themselves
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
# no workers: a small CPU is busy with the model, and one process makes each
# scene once
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
