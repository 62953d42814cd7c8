# Cityscapes: 19 classes, no background, 500 val images.
# The short side is 448 as in GroupViT and TCL; the settings of the sliding
# window are in `test_cfg` of the model. This file is for evaluation only: for
# training add image_captions_text.py.
dataset_type = 'CityscapesDataset'
data_root = 'data/cityscapes'
# Classes of the data set, in its order.
words = [
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light',
    'traffic sign', 'vegetation', 'terrain', 'sky', 'person', 'rider', 'car',
    'truck', 'bus', 'train', 'motorcycle', 'bicycle'
]
# Names that replace the name of a class in the text bank, where that is
# ambiguous or not plain English. The score of a class is that of its best
# name.
aliases = dict(
    vegetation=['vegetation', 'tree'],
    terrain=['terrain', 'grass'],
    rider=['rider', 'cyclist'],
    person=['person', 'pedestrian'],
    pole=['pole', 'street pole'])
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 448), keep_ratio=True),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(
            img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpixsort.PerClassIoUMetric')
test_evaluator = val_evaluator
