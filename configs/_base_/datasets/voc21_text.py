# VOC21: PASCAL VOC 2012 with background, 21 classes, 1449 val images.
# The short side is 448 as in GroupViT and TCL; the settings of the sliding
# window are in `test_cfg` of the model. This file is for evaluation only: for
# training add image_captions_text.py.
dataset_type = 'PascalVOCDataset'
data_root = 'data/VOCdevkit/VOC2012'
# Classes of the data set without background, in its order.
words = [
    'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
    'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person',
    'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor'
]
# Names that replace the name of a class in the text bank, where that is
# ambiguous or not plain English. The score of a class is that of its best
# name.
aliases = dict(
    aeroplane=['airplane', 'aeroplane'],
    diningtable=['table', 'dining table'],
    motorbike=['motorcycle', 'motorbike'],
    person=['person', 'people'],
    pottedplant=['plant', 'potted plant'],
    tvmonitor=['monitor', 'television'])
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
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpixsort.PerClassIoUMetric')
test_evaluator = val_evaluator
