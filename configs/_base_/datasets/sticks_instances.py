# Scattered sticks (De Brabandere et al. show them without a number to
# reproduce): no download, the same on every machine.
# The size is 32 * 4 + 1 for align_corners=True, for a CPU; the numbers of
# scenes are for a schedule of two thousand iterations.
dataset_type = 'mmpixsort.ScatteredSticksDataset'
scene_size = (129, 129)
num_sticks = (6, 12)
num_train, num_val, num_test = 1000, 32, 64
train_pipeline = [
    dict(type='LoadImageFromNDArray'),
    dict(type='mmpixsort.LoadInstanceMap'),
    # no resizing: lengths, widths and angles vary in the scenes themselves
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromNDArray'),
    dict(type='mmpixsort.LoadInstanceMap'),
    dict(type='mmpixsort.PaintInstanceMap'),
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
        num_sticks=num_sticks,
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
        num_sticks=num_sticks,
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
        num_sticks=num_sticks,
        split='test',
        test_mode=True,
        pipeline=test_pipeline))

val_evaluator = [dict(type='mmpixsort.InstanceMapMetric')]
test_evaluator = val_evaluator
