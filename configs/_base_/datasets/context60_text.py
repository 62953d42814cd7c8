# Context60: PASCAL Context with background, 60 classes.
# The short side is 448 as in GroupViT and TCL; the settings of the sliding
# window are in `test_cfg` of the model. This file is for evaluation only: for
# training add image_captions_text.py.
dataset_type = 'PascalContextDataset'
data_root = 'data/VOCdevkit/VOC2010'
# Classes of the data set without background, in its order.
words = [
    'aeroplane', 'bag', 'bed', 'bedclothes', 'bench', 'bicycle', 'bird',
    'boat', 'book', 'bottle', 'building', 'bus', 'cabinet', 'car', 'cat',
    'ceiling', 'chair', 'cloth', 'computer', 'cow', 'cup', 'curtain', 'dog',
    'door', 'fence', 'floor', 'flower', 'food', 'grass', 'ground', 'horse',
    'keyboard', 'light', 'motorbike', 'mountain', 'mouse', 'person', 'plate',
    'platform', 'pottedplant', 'road', 'rock', 'sheep', 'shelves', 'sidewalk',
    'sign', 'sky', 'snow', 'sofa', 'table', 'track', 'train', 'tree', 'truck',
    'tvmonitor', 'wall', 'water', 'window', 'wood'
]
# Names that replace the name of a class in the text bank, where that is
# ambiguous or not plain English. The score of a class is that of its best
# name.
aliases = dict(
    aeroplane=['airplane', 'aeroplane'],
    bedclothes=['bedclothes', 'bed sheet'],
    cloth=['cloth', 'clothes'],
    light=['light', 'lamp'],
    motorbike=['motorcycle', 'motorbike'],
    mouse=['mouse', 'computer mouse'],
    person=['person', 'people'],
    pottedplant=['plant', 'potted plant'],
    shelves=['shelf', 'shelves'],
    track=['track', 'railway track'],
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
            img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        ann_file='ImageSets/SegmentationContext/val.txt',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpixsort.PerClassIoUMetric')
test_evaluator = val_evaluator
