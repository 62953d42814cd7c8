# COCO-Object: 80 things and background, 5000 val images. The labels are made
# by tools/dataset_converters/coco_object.py.
# The short side is 448 as in GroupViT and TCL; the settings of the sliding
# window are in `test_cfg` of the model. This file is for evaluation only: for
# training add image_captions_text.py.
dataset_type = 'mmpixsort.COCOObjectDataset'
data_root = 'data/coco'
# Classes of the data set without background, in its order.
words = [
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train',
    'truck', 'boat', 'traffic light', 'fire hydrant', 'stop sign',
    'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse', 'sheep', 'cow',
    'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag',
    'tie', 'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball', 'kite',
    'baseball bat', 'baseball glove', 'skateboard', 'surfboard',
    'tennis racket', 'bottle', 'wine glass', 'cup', 'fork', 'knife', 'spoon',
    'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli', 'carrot',
    'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant',
    'bed', 'dining table', 'toilet', 'tv', 'laptop', 'mouse', 'remote',
    'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink',
    'refrigerator', 'book', 'clock', 'vase', 'scissors', 'teddy bear',
    'hair drier', 'toothbrush'
]
# Names that replace the name of a class in the text bank, where that is
# ambiguous or not plain English. The score of a class is that of its best
# name.
aliases = {
    'person': ['person', 'people'],
    'tie': ['necktie', 'tie'],
    'orange': ['orange fruit'],
    'tv': ['television', 'tv'],
    'mouse': ['computer mouse'],
    'remote': ['remote control'],
    'hair drier': ['hair dryer', 'hair drier']
}
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
            img_path='val2017', seg_map_path='coco_object/val2017'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpixsort.PerClassIoUMetric')
test_evaluator = val_evaluator
