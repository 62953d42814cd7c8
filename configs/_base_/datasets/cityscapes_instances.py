# Cityscapes instances, 8 classes: 2975 train and 500 val images (the labels of
# the 1525 test images are not public). The layout is that of mmdet, whose
# tools/dataset_converters/cityscapes.py writes the annotations.
dataset_type = 'CityscapesDataset'
data_root = 'data/cityscapes'
# De Brabandere et al., section 4: images of 2048 x 1024 are resized to
# 768 x 384, without augmentation; larger inputs gained little
image_scale = (768, 384)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadInstanceMap'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='mmpixsort.LoadInstanceMap'),
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs')
]
# The paper does not state the batch size.
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instancesonly_filtered_gtFine_train.json',
        data_prefix=dict(img='leftImg8bit/train'),
        # as in mmdet::_base_/datasets/cityscapes_instance.py
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instancesonly_filtered_gtFine_val.json',
        data_prefix=dict(img='leftImg8bit/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='mmpixsort.InstanceMapMetric'),
    dict(
        type='CocoMetric',
        ann_file=data_root +
        '/annotations/instancesonly_filtered_gtFine_val.json',
        metric=['segm'])
]
test_evaluator = val_evaluator
