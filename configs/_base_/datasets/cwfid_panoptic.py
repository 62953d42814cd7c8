# Crop/Weed Field Image Dataset as a panoptic task: crop and weed are things,
# soil is stuff; 39 train and 21 val images of 648 x 483 pixels. Layout below
# data_root: panoptic_SPLIT.json, panoptic/SPLIT/*.png, images/SPLIT/*.jpg. The
# data may be used for non-commercial research only.
dataset_type = 'mmpixsort.CWFIDPanopticDataset'
data_root = 'data/cwfid_panoptic'
# (width, height), both 32 k + 1 for align_corners=True; the ratio differs from
# that of 648 x 483 by 1 %
image_scale = (641, 481)
crop_size = (257, 257)  # 32 * 8 + 1, small enough for a CPU
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadPanopticMap'),
    # as for DSB2018, since 0.5 to 2.0 is too wide for a short schedule
    dict(
        type='RandomResize',
        scale=image_scale,
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, allow_negative_crop=True),
    # a field is seen from above, so vertical flips are natural
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mmpixsort.PaintInstanceMap', num_things=2),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=False),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(type='mmpixsort.PaintInstanceMap', num_things=2),
    dict(type='mmpixsort.PackInstanceInputs')
]
# no workers, as a small CPU is busy with the model
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='panoptic_train.json',
        data_prefix=dict(img='images/train', seg='panoptic/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='panoptic_val.json',
        data_prefix=dict(img='images/val', seg='panoptic/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='mmpixsort.PanopticQualityMetric')]
test_evaluator = val_evaluator
