# COCO-Stuff 164k: 171 classes, no background, 5000 val images.
# The short side is 448 as in GroupViT and TCL; the settings of the sliding
# window are in `test_cfg` of the model. This file is for evaluation only: for
# training add image_captions_text.py.
dataset_type = 'COCOStuffDataset'
data_root = 'data/coco_stuff164k'
# Classes of the data set, in its order.
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
    'hair drier', 'toothbrush', 'banner', 'blanket', 'branch', 'bridge',
    'building-other', 'bush', 'cabinet', 'cage', 'cardboard', 'carpet',
    'ceiling-other', 'ceiling-tile', 'cloth', 'clothes', 'clouds', 'counter',
    'cupboard', 'curtain', 'desk-stuff', 'dirt', 'door-stuff', 'fence',
    'floor-marble', 'floor-other', 'floor-stone', 'floor-tile', 'floor-wood',
    'flower', 'fog', 'food-other', 'fruit', 'furniture-other', 'grass',
    'gravel', 'ground-other', 'hill', 'house', 'leaves', 'light', 'mat',
    'metal', 'mirror-stuff', 'moss', 'mountain', 'mud', 'napkin', 'net',
    'paper', 'pavement', 'pillow', 'plant-other', 'plastic', 'platform',
    'playingfield', 'railing', 'railroad', 'river', 'road', 'rock', 'roof',
    'rug', 'salad', 'sand', 'sea', 'shelf', 'sky-other', 'skyscraper', 'snow',
    'solid-other', 'stairs', 'stone', 'straw', 'structural-other', 'table',
    'tent', 'textile-other', 'towel', 'tree', 'vegetable', 'wall-brick',
    'wall-concrete', 'wall-other', 'wall-panel', 'wall-stone', 'wall-tile',
    'wall-wood', 'water-other', 'waterdrops', 'window-blind', 'window-other',
    'wood'
]
# Names that replace the name of a class in the text bank, where that is
# ambiguous or not plain English. The score of a class is that of its best
# name.
aliases = {
    'building-other': ['building'],
    'ceiling-other': ['ceiling'],
    'ceiling-tile': ['tiled ceiling'],
    'desk-stuff': ['desk'],
    'door-stuff': ['door'],
    'floor-marble': ['marble floor'],
    'floor-other': ['floor'],
    'floor-stone': ['stone floor'],
    'floor-tile': ['tiled floor'],
    'floor-wood': ['wooden floor'],
    'food-other': ['food'],
    'furniture-other': ['furniture'],
    'ground-other': ['ground'],
    'mirror-stuff': ['mirror'],
    'plant-other': ['plant'],
    'playingfield': ['playing field'],
    'sky-other': ['sky'],
    'solid-other': ['solid object'],
    'structural-other': ['structure'],
    'textile-other': ['textile'],
    'wall-brick': ['brick wall'],
    'wall-concrete': ['concrete wall'],
    'wall-other': ['wall'],
    'wall-panel': ['wall panel'],
    'wall-stone': ['stone wall'],
    'wall-tile': ['tiled wall'],
    'wall-wood': ['wooden wall'],
    'water-other': ['water'],
    'waterdrops': ['water drops'],
    'window-blind': ['window blind'],
    'window-other': ['window'],
    'hair drier': ['hair dryer', 'hair drier'],
    'tv': ['television', 'tv'],
    'mouse': ['computer mouse'],
    'remote': ['remote control'],
    'tie': ['necktie', 'tie'],
    'orange': ['orange fruit']
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
            img_path='images/val2017', seg_map_path='annotations/val2017'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmpixsort.PerClassIoUMetric')
test_evaluator = val_evaluator
