# Images with captions and nouns (CC3M, CC12M, RedCaps, COCO), for training.
# Combine it with one of *_text.py for evaluation. tools/extract_nouns.py
# writes the JSON lines of captions and nouns, once.
caption_root = 'data/captions'
# the size at which the image towers of CLIP are trained
caption_crop_size = (224, 224)
max_nouns = 2
train_pipeline = [
    dict(type='LoadImageFromFile'),
    # the short side becomes 224 to 280 before a square is cropped: the
    # caption must stay true of the crop
    dict(
        type='RandomChoiceResize',
        scales=[224, 252, 280],
        resize_type='ResizeShortestEdge',
        max_size=2048),
    dict(type='RandomCrop', crop_size=caption_crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpixsort.SampleNouns', max_nouns=max_nouns),
    dict(type='mmpixsort.PackTextInputs')
]
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmpixsort.ImageCaptionDataset',
        data_root=caption_root,
        ann_file='nouns.jsonl',
        data_prefix=dict(img_path='images'),
        pipeline=train_pipeline))
