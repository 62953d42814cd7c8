# Generated scattered sticks, the same on every machine and without a download.
# De Brabandere et al. show such scenes, but no number to reproduce. The size
# is 32 * 4 + 1 for align_corners=True, small enough for a CPU. The numbers of
# scenes suit a schedule of two thousand iterations.
dataset_type = 'mmpixsort.ScatteredSticksDataset'
scene_size = (129, 129)
num_sticks = (6, 12)
num_train, num_val, num_test = 1000, 32, 64
train_pipeline = [
    dict(type='LoadImageFromNDArray'),
    dict(type='mmpixsort.LoadInstanceMap'),
    # no resizing, as lengths, widths and angles vary between scenes anyway
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
