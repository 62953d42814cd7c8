# Nuclei of the Data Science Bowl 2018, stage 1 with corrections: 532 train, 66
# val and 66 test images with 23,291, 2,687 and 3,008 nuclei. Layout below
# data_root:
# annotations/instances_SPLIT.json, images/SPLIT/ID.jpg.
dataset_type = 'mmpixsort.DSB2018Dataset'
data_root = 'data/dsb2018'
# Half of the images are 256 x 256. The long side becomes 257 = 32 * 8 + 1 (for
# align_corners=True) in training and test, since what a network learns about
# positions in crops is wrong in larger images (see docs/results.md).
image_scale = (257, 257)
crop_size = (257, 257)
train_pipeline = [
    # most files are grey; the default reads them as colour
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.LoadInstanceMap'),
    dict(
        type='RandomResize',
        scale=image_scale,
        # as for CamVid, since 0.5 to 2.0 is too wide for a short schedule
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    # the few long images have fewer rows than the crop
    dict(type='Pad', size=crop_size),
    # a microscope slide has no upper side, so vertical flips are natural
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal']),
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
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='images/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='images/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_test.json',
        data_prefix=dict(img='images/test'),
        test_mode=True,
        pipeline=test_pipeline))

# segm_mAP of pycocotools uses only the best 100 masks of an image, all other
# numbers 1000; an image has up to 375 nuclei
val_evaluator = [
    dict(type='mmpixsort.InstanceMapMetric'),
    dict(
        type='CocoMetric',
        ann_file=data_root + '/annotations/instances_val.json',
        metric=['segm'])
]
test_evaluator = [
    dict(type='mmpixsort.InstanceMapMetric'),
    dict(
        type='CocoMetric',
        ann_file=data_root + '/annotations/instances_test.json',
        metric=['segm'])
]
