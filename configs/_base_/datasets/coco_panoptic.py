# COCO panoptic 2017: 80 thing classes and 53 stuff classes; 118287 train and
# 5000 val images. Folders are those of
# mmdet::_base_/datasets/coco_panoptic.py.
dataset_type = 'mmpixsort.COCOPanopticDataset'
data_root = 'data/coco'
# Crop, scales and test size are those of Panoptic-DeepLab in detectron2
# (..._bs64_crop_640_640_coco_dsconv.yaml), the most similar method without
# boxes.
image_scale = (640, 640)
crop_size = (640, 640)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(
        type='RandomResize',
        scale=image_scale,
        ratio_range=(0.5, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, allow_negative_crop=True),
    # pads the image with 0 and the labels with 255 (void)
    dict(type='Pad', size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpixsort.PaintInstanceMap', num_things=80),
    dict(type='mmpixsort.PackInstanceInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='mmpixsort.LoadPanopticMap'),
    dict(type='mmpixsort.PaintInstanceMap', num_things=80),
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
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(
            img='train2017', seg='annotations/panoptic_train2017'),
        # as in mmdet::_base_/datasets/coco_panoptic.py
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
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017', seg='annotations/panoptic_val2017'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='mmpixsort.PanopticQualityMetric')]
test_evaluator = val_evaluator
