# COCO-Stuff 164k: 171 classes, no background, 5000 val images.
# Short side 448 as in GroupViT and TCL; slide settings belong to the model's
# `test_cfg`. Evaluation only: for training add image_captions_text.py.
dataset_type = 'COCOStuffDataset'
data_root = 'data/coco_stuff164k'
# Names for the text bank in place of the name of a class, where that is
# ambiguous or no plain English; the score of a class is its best name.
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
    # after Resize: the ground truth is scored at its own size
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
