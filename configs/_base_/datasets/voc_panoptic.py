# PASCAL VOC 2012 segmentation as a panoptic task: 20 thing classes, and
# background as stuff; 1464 train and 1449 val images. Folders are those of the
# official archive.
dataset_type = 'mmpixsort.VOCPanopticDataset'
data_root = 'data/VOCdevkit/VOC2012'
# crop, scale and ratio_range are those of
# mmseg::_base_/datasets/pascal_voc12.py
image_scale = (2048, 512)
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(
        type='RandomResize',
        scale=image_scale,
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, allow_negative_crop=True),
    # pads the image with 0 and the labels with 255 (void)
    dict(type='Pad', size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpixsort.PaintInstanceMap', num_things=20),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(type='mmpixsort.PaintInstanceMap', num_things=20),
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
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='mmpixsort.PanopticQualityMetric')]
test_evaluator = val_evaluator
