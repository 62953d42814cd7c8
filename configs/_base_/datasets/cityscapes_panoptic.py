# Cityscapes panoptic: 8 classes of things, 11 of stuff; 2975 train, 500 val
# images (the labels of the 1525 test images are not public). Files as the
# official cityscapesscripts/preparation/createPanopticImgs.py writes them.
dataset_type = 'mmpixsort.CityscapesPanopticDataset'
data_root = 'data/cityscapes'
# crop, scale and ratio_range as in mmseg::_base_/datasets/cityscapes.py; but
# mmdet's RandomCrop takes (width, height), mmseg's (height, width)
image_scale = (2048, 1024)
crop_size = (1024, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(
        type='RandomResize',
        scale=image_scale,
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpixsort.PaintInstanceMap', num_things=8),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    # after Resize: the ground truth is scored at its own size
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(type='mmpixsort.PaintInstanceMap', num_things=8),
    dict(type='mmpixsort.PackInstanceInputs')
]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_prefix=dict(
            img='leftImg8bit/train',
            seg='gtFine/cityscapes_panoptic_train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_val.json',
        data_prefix=dict(
            img='leftImg8bit/val',
            seg='gtFine/cityscapes_panoptic_val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='mmpixsort.PanopticQualityMetric')]
test_evaluator = val_evaluator
