# Segment sorting without annotation, with the small host on CamVid, on a CPU.
# Regions of Felzenszwalb's method replace the paper's HED contours; each is
# separated from all others (section 3.4 of the paper). Only the bank of
# prototypes uses annotation.
_base_ = './segsort_fcn-mnv2_1xb8-1500it_camvid.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpixsort.MakeOverSegmentation', cache_size=367),
    # as in ../_base_/datasets/camvid.py
    dict(
        type='RandomResize',
        scale=_base_.image_scale,
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='mmpixsort.PackSegmentInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    metric_head=dict(
        segments='oversegmentation',
        bank=None,
        sampler=None,
        # about 60 regions in a crop
        segmenter=dict(max_segments=800)))
