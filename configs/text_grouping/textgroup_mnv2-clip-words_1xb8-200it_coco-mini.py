# Text grouping on a few photographs: a check that the parts work on real
# images, not a result. A linear layer projects features of a MobileNetV2
# trained on ImageNet to CLIP's embeddings of words, which are not trained. The
# groups are made with the same MobileNetV2, whose training was supervised.
# Measured: 4.49 mIoU, seed 0 (docs/results.md). Run in this order:
#   python tools/build_text_bank.py --from-npy rows.npy names.txt \
#       --templates "a {}" --out data/coco_mini/clip_words.npz
#   python tools/extract_nouns.py \
#       data/coco_mini/annotations/captions_train.json \
#       --lexicon configs/text_grouping/coco_nouns.txt \
#       --out data/coco_mini/nouns.jsonl
#   for s in train val; do python tools/dataset_converters/coco_object.py \
#       data/coco_mini/annotations/instances_$s.json \
#       data/coco_mini/coco_object/$s; done
#   python tools/train.py configs/text_grouping/\
#       textgroup_mnv2-clip-words_1xb8-200it_coco-mini.py, then
#   tools/tune_background.py and tools/test.py with it and its weights
_base_ = [
    'mmseg::_base_/default_runtime.py',
    '../_base_/datasets/coco_object_text.py',
    '../_base_/datasets/image_captions_text.py',
    '../_base_/schedules/schedule_cpu_400it.py'
]
data_root = 'data/coco_mini'
text_file = data_root + '/clip_words.npz'
mobilenet = dict(
    type='MobileNetV2',
    widen_factor=1.0,
    strides=(1, 2, 2, 2, 1, 1, 1),
    dilations=(1, 1, 1, 1, 1, 2, 2),
    out_indices=(1, 2, 4, 6),  # 24, 32, 96 and 320 channels
    norm_cfg=dict(type='BN'),
    init_cfg=dict(
        type='Pretrained', checkpoint='checkpoints/mobilenet_v2.pth'))
model = dict(
    type='mmpixsort.TextGroupSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=1),
    backbone=dict(
        type='mmpixsort.BackboneDual',
        backbone=mobilenet,
        in_index=3,
        in_channels=320,
        text_file=text_file,
        freeze_backbone=True),  # so few images would damage it
    decode_head=dict(
        type='mmpixsort.TextGroupHead',
        grouper=dict(
            type='mmpixsort.RegionGrouper',
            feature=dict(
                type='mmpixsort.BackboneFeature',
                backbone=mobilenet,
                in_index=2,
                in_channels=96),
            grid=4),
        bank=dict(
            type='mmpixsort.TextBank', classes=_base_.words,
            templates='none'),
        train_templates='none',
        noun_loss=dict(type='mmpixsort.NounRegionLoss', positives='soft'),
        sentence_loss=None,  # there are no embeddings of sentences
        background='cosine',
        threshold=.15),  # tuned on masks of the training images
    test_cfg=dict(mode='whole'))
crop_size = (225, 225)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomChoiceResize',
        scales=[225, 257, 289],
        resize_type='ResizeShortestEdge',
        max_size=2048),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpixsort.SampleNouns', max_nouns=2),
    dict(type='mmpixsort.PackTextInputs')
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='images/train'),
        filter_empty_nouns=True,
        pipeline=train_pipeline))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 225), keep_ratio=True),
    # loaded after Resize, as ground truth is scored at its own size
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
# masks of the training images, used for the threshold only
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(
            img_path='images/train', seg_map_path='coco_object/train'),
        pipeline=test_pipeline))
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(
            img_path='images/val', seg_map_path='coco_object/val'),
        pipeline=test_pipeline))
val_evaluator = [
    dict(type='mmpixsort.PerClassIoUMetric'),
    dict(type='mmpixsort.GroupOracleMetric'),
    dict(type='mmpixsort.RegionNounAccuracy')
]
test_evaluator = val_evaluator
max_iters = 200
# only the projection, a new layer, is trained
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(
        _delete_=True, custom_keys=dict(log_scale=dict(decay_mult=0.))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(
        type='PolyLR',
        eta_min=1e-6,
        power=0.9,
        begin=20,
        end=max_iters,
        by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
randomness = dict(seed=0)
