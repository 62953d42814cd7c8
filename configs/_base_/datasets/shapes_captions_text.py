# Generated shapes of 7 classes with captions, 64x64, the same on every machine
# and without a download. Training uses pictures and captions, but no masks.
# Thresholds are chosen on `val` and scores computed on `test`, 200 scenes
# each.
dataset_type = 'mmpixsort.GeneratedShapesCaptions'
num_train, num_val, num_test = 2000, 200, 200
# probability with which a caption leaves out a shape
drop_noun = 0.
# pairs of nouns that occur together only in scenes of split='pairs'
held_out_pairs = ()
train_pipeline = [
    dict(type='mmpixsort.LoadCaptionedShapes'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpixsort.PackTextInputs')
]
test_pipeline = [
    dict(type='mmpixsort.LoadCaptionedShapes'),
    dict(type='mmpixsort.PackTextInputs')
]
# no workers, as a scene takes less than a millisecond
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        num_images=num_train,
        split='train',
        drop_noun=drop_noun,
        held_out_pairs=held_out_pairs,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        num_images=num_val,
        split='val',
        held_out_pairs=held_out_pairs,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        num_images=num_test,
        split='test',
        held_out_pairs=held_out_pairs,
        test_mode=True,
        pipeline=test_pipeline))

val_evaluator = dict(type='mmpixsort.PerClassIoUMetric')
test_evaluator = val_evaluator
