# Cityscapes panoptic: 8 thing classes and 11 stuff classes; 2975 train and 500
# val images (the labels of the 1525 test images are not public). The layout is
# that of the official cityscapesscripts/preparation/createPanopticImgs.py.
dataset_type = 'mmpixsort.CityscapesPanopticDataset'
data_root = 'data/cityscapes'
# crop, scale and ratio_range are those of
# mmseg::_base_/datasets/cityscapes.py; but RandomCrop of mmdet takes (width,
# height), that of mmseg (height, width)
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
    # loaded after Resize, as ground truth is scored at its own size
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
